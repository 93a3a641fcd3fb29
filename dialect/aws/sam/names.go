package sam

import (
	"fmt"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// nameProps are the properties that give a resource its physical name, by type.
var nameProps = map[string]string{
	"AWS::Lambda::Function": "FunctionName", "AWS::Lambda::LayerVersion": "LayerName", "AWS::DynamoDB::Table": "TableName",
	"AWS::S3::Bucket": "BucketName", "AWS::IAM::Role": "RoleName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName", "AWS::IAM::Policy": "PolicyName",
	"AWS::Logs::LogGroup": "LogGroupName", "AWS::Events::Rule": "Name", "AWS::Scheduler::Schedule": "Name", "AWS::SQS::Queue": "QueueName",
	"AWS::SNS::Topic": "TopicName", "AWS::ApiGatewayV2::DomainName": "DomainName", "AWS::CloudWatch::Alarm": "AlarmName",
	"AWS::StepFunctions::StateMachine": "StateMachineName", "AWS::SecretsManager::Secret": "Name", "AWS::SSM::Parameter": "Name",
	"AWS::Route53::RecordSet": "Name",
}

// physical is the name that AWS would know a resource by (aws.md 7.2).
func (b *builder) physical(r *cfn.Resource) *cfn.Value {
	if key := nameProps[r.Type]; key != "" {
		if v := b.t.Prop(r, key); v != nil {
			if v.Broken || v.Str() != "" {
				return v
			}
			b.fail(v.At, "", "%s of resource %q wants text, not %s", key, r.ID, cfn.Kind(v))
			return &cfn.Value{At: v.At, Broken: true}
		}
	}
	stack, id := b.t.Stack(), r.ID
	most := 63 // of a bucket, a function and a role the shortest
	if room := most - len(stack) - len(id) - 14; room < 0 {
		if len(id) > 24 {
			id = id[:24]
		}
		stack = stack[:min(len(stack), most-14-len(id))]
	}
	name := stack + "-" + id + "-" + apispec.Suffix(b.t.Stack(), r.ID)
	if r.Type == "AWS::S3::Bucket" {
		name = strings.ToLower(name)
	}
	return template.Text(r.At, name)
}

// id is the id of something within an API.
func (b *builder) id(r *cfn.Resource) string { return apispec.ID(7, b.t.Stack(), r.ID) }

func (b *builder) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + b.t.Region() + ":" + b.t.Account() + ":" + resource
}

// urlID is the first label of the host of a function's URL, as package lambda makes it of the trigger's
// name.
func (b *builder) urlID(r *cfn.Resource) string { return apispec.ID(32, b.t.Stack(), r.ID, "url") }

// Ref is what a reference to a resource is.
func (b *builder) Ref(r *cfn.Resource) (*cfn.Value, bool) {
	text := func(s string) (*cfn.Value, bool) { return template.Text(r.At, s), true }
	switch r.Type {
	case "AWS::ApiGatewayV2::Api":
		return text(apispec.ID(10, b.t.Stack(), r.ID))
	case "AWS::ApiGatewayV2::Route", "AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Deployment", "AWS::ApiGatewayV2::Authorizer",
		"AWS::ApiGatewayV2::RouteResponse", "AWS::ApiGatewayV2::IntegrationResponse", "AWS::ApiGatewayV2::Model", "AWS::ApiGatewayV2::ApiMapping",
		"AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlan":
		return text(b.id(r))
	case "AWS::ApiGatewayV2::Stage":
		v := b.t.Prop(r, "StageName")
		return v, v != nil
	case "AWS::Lambda::Version":
		return b.qualified(r, "FunctionName", "1")
	case "AWS::Lambda::Alias":
		v := b.t.Prop(r, "Name")
		if v == nil || v.Broken {
			return v, v != nil
		}
		return b.qualified(r, "FunctionName", v.Str())
	case "AWS::Lambda::Url":
		return b.qualified(r, "TargetFunctionArn", "")
	case "AWS::Lambda::LayerVersion":
		name := b.layerName(r)
		if name.Broken {
			return name, true
		}
		return text(b.arn("lambda", "layer:"+name.Str()+":1"))
	case "AWS::SQS::Queue":
		name := b.physical(r)
		if name.Broken {
			return name, true
		}
		return text(fmt.Sprintf("https://sqs.%s.amazonaws.com/%s/%s", b.t.Region(), b.t.Account(), name.Str()))
	case "AWS::SNS::Topic", "AWS::StepFunctions::StateMachine", "AWS::IAM::ManagedPolicy", "AWS::SecretsManager::Secret":
		return b.GetAtt(r, "Arn")
	}
	return b.physical(r), true
}

// qualified is the ARN of the function that a property names, with a qualifier.
func (b *builder) qualified(r *cfn.Resource, prop, qualifier string) (*cfn.Value, bool) {
	v := b.t.Prop(r, prop)
	if v == nil || v.Broken {
		return v, v != nil
	}
	arn := b.arn("lambda", "function:"+functionOf(v.Str()))
	if qualifier != "" {
		arn += ":" + qualifier
	}
	return template.Text(r.At, arn), true
}

func (b *builder) layerName(r *cfn.Resource) *cfn.Value {
	if b.t.Prop(r, "LayerName") != nil {
		return b.physical(r)
	}
	return template.Text(r.At, r.ID)
}

// GetAtt is what an attribute of a resource is.
func (b *builder) GetAtt(r *cfn.Resource, attr string) (*cfn.Value, bool) {
	text := func(s string) (*cfn.Value, bool) { return template.Text(r.At, s), true }
	service := strings.Split(r.Type, "::")
	if r.Type == "AWS::ApiGatewayV2::Api" {
		id := apispec.ID(10, b.t.Stack(), r.ID)
		scheme := "https"
		if p := b.t.Prop(r, "ProtocolType"); p != nil && p.Str() == apispec.WebSocket {
			scheme = "wss"
		}
		switch attr {
		case "ApiId", "RestApiId":
			return text(id)
		case "ApiEndpoint":
			return text(scheme + "://" + id + ".execute-api." + b.t.Region() + ".amazonaws.com")
		case "RootResourceId":
			return text(apispec.ID(10, b.t.Stack(), r.ID, "/"))
		}
		return nil, false
	}
	if len(service) == 3 && service[1] == "ApiGatewayV2" {
		if strings.HasSuffix(attr, "Id") {
			return text(b.id(r))
		}
		if r.Type == "AWS::ApiGatewayV2::DomainName" {
			name := b.physical(r)
			switch attr {
			case "RegionalDomainName":
				return text("d-" + b.id(r) + ".execute-api." + b.t.Region() + ".amazonaws.com")
			case "RegionalHostedZoneId":
				return text("Z1UJRXOUMOOFQ8")
			case "DomainNameArn":
				return text("arn:aws:apigateway:" + b.t.Region() + "::/domainnames/" + name.Str())
			}
		}
		return nil, false
	}
	switch r.Type {
	case "AWS::Lambda::Url":
		switch attr {
		case "FunctionUrl":
			return text("https://" + b.urlID(r) + ".lambda-url." + b.t.Region() + ".on.aws/")
		case "FunctionArn":
			return b.Ref(r)
		}
		return nil, false
	case "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::LayerVersion":
		switch attr {
		case "Version":
			return text("1")
		case "FunctionArn", "AliasArn", "LayerVersionArn", "Arn":
			return b.Ref(r)
		}
		return nil, false
	}
	name := b.physical(r)
	if name.Broken {
		return name, true
	}
	n := name.Str()
	switch r.Type + "." + attr {
	case "AWS::Lambda::Function.Arn":
		return text(b.arn("lambda", "function:"+n))
	case "AWS::Lambda::Function.Version":
		return text("$LATEST")
	case "AWS::DynamoDB::Table.Arn":
		return text(b.arn("dynamodb", "table/"+n))
	case "AWS::DynamoDB::Table.StreamArn":
		return text(b.arn("dynamodb", "table/"+n+"/stream/"+apispec.StreamLabel))
	case "AWS::DynamoDB::Table.TableId":
		return text(apispec.ID(26, b.t.Stack(), r.ID))
	case "AWS::S3::Bucket.Arn":
		return text("arn:aws:s3:::" + n)
	case "AWS::S3::Bucket.DomainName":
		return text(n + ".s3.amazonaws.com")
	case "AWS::S3::Bucket.RegionalDomainName", "AWS::S3::Bucket.DualStackDomainName":
		return text(n + ".s3." + b.t.Region() + ".amazonaws.com")
	case "AWS::S3::Bucket.WebsiteURL":
		return text("http://" + n + ".s3-website-" + b.t.Region() + ".amazonaws.com")
	case "AWS::IAM::Role.Arn":
		return text("arn:aws:iam::" + b.t.Account() + ":role/" + n)
	case "AWS::IAM::Role.RoleId":
		return text("AROA" + strings.ToUpper(apispec.ID(17, b.t.Stack(), r.ID)))
	case "AWS::IAM::ManagedPolicy.Arn", "AWS::IAM::ManagedPolicy.PolicyArn":
		return text("arn:aws:iam::" + b.t.Account() + ":policy/" + n)
	case "AWS::Logs::LogGroup.Arn":
		return text(b.arn("logs", "log-group:"+n+":*"))
	case "AWS::Events::Rule.Arn":
		return text(b.arn("events", "rule/"+n))
	case "AWS::SQS::Queue.Arn":
		return text(b.arn("sqs", n))
	case "AWS::SQS::Queue.QueueName", "AWS::SNS::Topic.TopicName":
		return text(n)
	case "AWS::SQS::Queue.QueueUrl":
		return b.Ref(r)
	case "AWS::SNS::Topic.TopicArn", "AWS::SNS::Topic.Arn":
		return text(b.arn("sns", n))
	case "AWS::StepFunctions::StateMachine.Arn":
		return text(b.arn("states", "stateMachine:"+n))
	}
	if b.known[r.Type] && !r.Skipped && len(service) == 3 && (service[1] == "Lambda" || service[1] == "DynamoDB" || service[1] == "S3" || service[1] == "IAM") {
		return nil, false // its attributes are all above
	}
	if attr == "Arn" && len(service) == 3 {
		return text(b.arn(strings.ToLower(service[1]), n))
	}
	return text(r.ID + "." + attr) // nothing of ours makes it; whoever reads it finds out what it is for
}

// functionOf is the name of the function that an ARN, a partial ARN or a name means, without qualifier.
func functionOf(s string) string {
	if _, rest, ok := strings.Cut(s, ":function:"); ok {
		s = rest
	} else if rest, ok := strings.CutPrefix(s, "function:"); ok {
		s = rest
	}
	s, _, _ = strings.Cut(s, ":")
	s, _, _ = strings.Cut(s, "/") // of an integration's URI
	return s
}

// function is the one that an ARN or a name means; nil when it is none of the app's.
func (b *builder) function(ref string) *sluice.Function {
	name := functionOf(ref)
	for i := range b.app.Functions {
		if b.app.Functions[i].Physical == name {
			return &b.app.Functions[i]
		}
	}
	return nil
}
