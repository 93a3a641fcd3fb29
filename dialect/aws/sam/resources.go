package sam

import (
	"slices"

	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// handler makes a part of the App of one resource.
type handler func(b *builder, r *cfn.Resource)

// accepted is the handler of resources that need nothing done.
func accepted(*builder, *cfn.Resource) {}

// step is one type of resource and its handler.
type step struct {
	typ string
	do  handler
}

// steps are the types that sluice deploys, in the order in which they need each other.
func steps() []step {
	return []step{
		{"AWS::Lambda::LayerVersion", accepted}, // functions take them along
		{"AWS::Lambda::Function", (*builder).lambda},
		{"AWS::DynamoDB::Table", (*builder).table},
		{"AWS::S3::Bucket", (*builder).bucket},
		{"AWS::S3::BucketPolicy", (*builder).bucketPolicy},

		{"AWS::ApiGatewayV2::Api", (*builder).api},
		{"AWS::ApiGatewayV2::Authorizer", (*builder).authorizer},
		{"AWS::ApiGatewayV2::Model", (*builder).model},
		{"AWS::ApiGatewayV2::Integration", (*builder).integration},
		{"AWS::ApiGatewayV2::IntegrationResponse", (*builder).integrationResponse},
		{"AWS::ApiGatewayV2::Route", (*builder).route},
		{"AWS::ApiGatewayV2::RouteResponse", (*builder).routeResponse},
		{"AWS::ApiGatewayV2::Api", (*builder).definitions}, // once more, for what nobody else has said
		{"AWS::ApiGatewayV2::Stage", (*builder).stage},
		{"AWS::ApiGatewayV2::Deployment", (*builder).deployment},
		{"AWS::ApiGatewayV2::DomainName", (*builder).domainName},
		{"AWS::ApiGatewayV2::ApiMapping", (*builder).apiMapping},

		{"AWS::Lambda::Version", (*builder).version},
		{"AWS::Lambda::Alias", (*builder).alias},
		{"AWS::Lambda::Url", (*builder).functionURL},
		{"AWS::Lambda::EventInvokeConfig", (*builder).invokeConfig},
		{"AWS::Lambda::EventSourceMapping", (*builder).mapping},
		{"AWS::Events::Rule", (*builder).rule},
		{"AWS::Scheduler::Schedule", (*builder).schedule},

		// Permissions: stored nowhere, for nothing here asks for them.
		{"AWS::IAM::Role", accepted}, {"AWS::IAM::Policy", accepted}, {"AWS::IAM::ManagedPolicy", accepted},
		{"AWS::IAM::RolePolicy", accepted}, {"AWS::IAM::ServiceLinkedRole", accepted},
		{"AWS::Lambda::Permission", accepted}, {"AWS::Lambda::LayerVersionPermission", accepted},
		// What functions get anyway, or what only a cloud has.
		{"AWS::Logs::LogGroup", accepted}, {"AWS::Logs::LogStream", accepted}, {"AWS::Logs::MetricFilter", accepted}, {"AWS::Logs::ResourcePolicy", accepted},
		{"AWS::CloudWatch::Alarm", elsewhere}, {"AWS::CloudWatch::Dashboard", elsewhere},
		{"AWS::CertificateManager::Certificate", elsewhere}, {"AWS::Route53::RecordSet", elsewhere}, {"AWS::Route53::RecordSetGroup", elsewhere},
		{"AWS::ApplicationAutoScaling::ScalableTarget", accepted}, {"AWS::ApplicationAutoScaling::ScalingPolicy", accepted},
		{"AWS::ApiGateway::Resource", accepted}, // a part of its methods' paths
		{"AWS::ApiGateway::RequestValidator", accepted}, {"AWS::ApiGateway::Model", accepted}, {"AWS::ApiGateway::GatewayResponse", accepted},
		{"AWS::ApiGateway::Account", accepted}, {"AWS::ApiGateway::ApiKey", accepted}, {"AWS::ApiGateway::UsagePlan", accepted}, {"AWS::ApiGateway::UsagePlanKey", accepted},
		{"AWS::CloudFormation::WaitConditionHandle", accepted}, {"AWS::CDK::Metadata", accepted},
	}
}

// elsewhere is the handler of what the owner of the server makes, if it is wanted.
func elsewhere(b *builder, r *cfn.Resource) {
	b.t.Note(r.At, "%s %q is not made here", r.Type, r.ID)
}

// resources makes the App of all resources.
func (b *builder) resources() {
	steps := steps()
	for _, r := range b.t.Resources() {
		if !b.known[r.Type] && !r.Skipped {
			b.unknown(r)
		}
	}
	for _, s := range steps {
		for _, r := range b.t.Resources() {
			if r.Type == s.typ && !r.Skipped {
				s.do(b, r)
			}
		}
		if s.typ == "AWS::Lambda::Function" {
			b.tellVersions()
		}
	}
	b.endpoints()
	b.extras()
	for _, r := range b.t.Resources() {
		if !r.Skipped && !r.Made {
			for _, key := range r.Props.Keys() {
				b.t.Prop(r, key) // what nobody has looked at may be wrong all the same
			}
		}
	}
}

// unknown refuses a type that sluice does not deploy.
func (b *builder) unknown(r *cfn.Resource) {
	var types []string
	for typ := range b.known {
		types = append(types, typ)
	}
	for _, s := range sections {
		types = append(types, s)
	}
	slices.Sort(types)
	if n := cfn.Nearest(r.Type, types); n != "" && n != r.Type && cfn.Close(r.Type, n) {
		b.fail(r.At, "did you mean "+n+"?", "resource %q has type %s, which nobody knows", r.ID, r.Type)
		return
	}
	r.Skipped = b.refuse(r, r.At, "resource %q has type %s, which sluice does not run", r.ID, r.Type)
}
