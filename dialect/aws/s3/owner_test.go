package s3

import (
	"strings"
	"testing"
)

const toOther = `<AccessControlPolicy><AccessControlList><Grant><Grantee><ID>app</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>` +
	`<Grant><Grantee><ID>other</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>`

func TestGrantsAreForWhomTheyName(t *testing.T) {
	g := newRig(t)
	for _, b := range []string{"/box", "/logs"} {
		g.ok(t, "app", "PUT", b, "")
	}
	g.ok(t, "app", "PUT", "/box/plain", "x")
	g.ok(t, "app", "PUT", "/box/granted", "x", "x-amz-grant-read: id=other", `x-amz-grant-write-acp: id="other"`)
	g.ok(t, "app", "PUT", "/box/all", "x", `x-amz-grant-read: uri="http://acs.amazonaws.com/groups/global/AllUsers"`)
	g.ok(t, "app", "PUT", "/box?acl", toOther)
	for _, c := range []struct{ who, method, url, body, want string }{
		{"other", "GET", "/box", "", "200"},
		{"", "GET", "/box", "", "403 AccessDenied"},
		{"other", "PUT", "/box/new", "", "403 AccessDenied"},
		{"other", "GET", "/box?acl", "", "403 AccessDenied"},
		{"other", "GET", "/box/plain", "", "403 AccessDenied"},
		{"other", "GET", "/box/granted", "", "200"},
		{"other", "GET", "/box/granted?acl", "", "403 AccessDenied"},
		{"other", "PUT", "/box/granted?acl", toOther, "200"},
		{"", "GET", "/box/all", "", "200"},
		{"app", "PUT", "/box?acl", strings.Replace(toOther, "<ID>other</ID>", "<EmailAddress>a@b.c</EmailAddress>", 1), "400 UnresolvableGrantByEmailAddress"},
		{"app", "PUT", "/box?acl", strings.Replace(toOther, "<ID>other</ID>", "<ID>_no</ID>", 1), "400 InvalidArgument"},
		{"app", "PUT", "/box?acl", strings.Replace(toOther, "<ID>other</ID>", "<URI>http://acs.amazonaws.com/groups/x</URI>", 1), "400 InvalidArgument"},
		{"app", "PUT", "/box?acl", strings.Replace(toOther, "READ", "SEE", 1), "400 MalformedXML"},
	} {
		if got := code(g.do(t, c.who, c.method, c.url, c.body)); got != c.want {
			t.Errorf("%q %s %s: %s, want %s", c.who, c.method, c.url, got, c.want)
		}
	}
	if got := g.ok(t, "app", "GET", "/box?acl", "").Body.String(); strings.Count(got, "<Grant>") != 2 || !strings.Contains(got, "<ID>other</ID>") {
		t.Errorf("the grants are %s", got)
	}
	g.ok(t, "app", "PUT", "/box?acl", "", "x-amz-acl: private") // which ends the list
	if got := code(g.do(t, "other", "GET", "/box", "")); got != "403 AccessDenied" {
		t.Errorf("a private bucket: %s", got)
	}
}

func TestBucketsMayHaveNoAccessRules(t *testing.T) {
	g := newRig(t)
	const enforce = "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"
	g.ok(t, "app", "PUT", "/open", "", "x-amz-acl: public-read")
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box/shown", "", "x-amz-acl: public-read")
	g.ok(t, "app", "PUT", "/box?ownershipControls", enforce)
	for _, c := range []struct{ method, url, body, header, want string }{
		{"PUT", "/open?ownershipControls", enforce, "", "400 InvalidBucketAclWithObjectOwnership"},
		{"PUT", "/new", "", "x-amz-object-ownership: BucketOwnerEnforced\nx-amz-acl: public-read", "400 InvalidBucketAclWithObjectOwnership"},
		{"PUT", "/box/a", "", "x-amz-acl: public-read", "400 AccessControlListNotSupported"},
		{"PUT", "/box/a", "", "x-amz-grant-read: id=other", "400 AccessControlListNotSupported"},
		{"PUT", "/box/a", "", "x-amz-acl: bucket-owner-full-control", "200"},
		{"PUT", "/box?acl", toOther, "", "400 AccessControlListNotSupported"},
	} {
		if got := code(g.do(t, "app", c.method, c.url, c.body, strings.Split(c.header, "\n")...)); got != c.want {
			t.Errorf("%s %s with %q: %s, want %s", c.method, c.url, c.header, got, c.want)
		}
	}
	if got := code(g.do(t, "", "GET", "/box/shown", "")); got != "403 AccessDenied" {
		t.Errorf("a rule from before: %s", got)
	}
}

func TestWhatAPolicyDeniesIsDeniedToOwnersToo(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	for _, key := range []string{"a", "kept/a"} {
		g.ok(t, "app", "PUT", "/box/"+key, "")
	}
	g.ok(t, "app", "PUT", "/box?policy", `{"Statement":[
		{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::box/kept/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::box/*","Condition":{"Null":{"s3:x-amz-server-side-encryption":"true"}}},
		{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::box","arn:aws:s3:::box/*"],"Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}}]}`)
	for _, c := range []struct{ method, url, body, header, want string }{
		{"DELETE", "/box/kept/a", "", "", "403 AccessDenied"},
		{"DELETE", "/box/a", "", "", "204"},
		{"PUT", "/box/b", "", "", "403 AccessDenied"},
		{"PUT", "/box/b", "", "x-amz-server-side-encryption: AES256", "200"},
		{"POST", "/box?delete", "<Delete><Object><Key>kept/a</Key></Object></Delete>", "", "200"},
		{"HEAD", "/box/kept/a", "", "", "200"},
		{"DELETE", "/box?policy", "", "", "204"},
		{"DELETE", "/box/kept/a", "", "", "204"},
	} {
		if got := code(g.do(t, "app", c.method, c.url, c.body, strings.Split(c.header, "\n")...)); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.method, c.url, got, c.want)
		}
	}
}

func TestPoliciesArePublicWhenTheyLetEverybodyIn(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	for statement, want := range map[string]string{
		`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}`:                                                                           "true",
		`{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"*"}`:                                                                            "false",
		`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"s3:GetObject","Resource":"*"}`:                                                 "false",
		`{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`:                   "false",
		`{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":"s3:GetObject","Resource":"*","Condition":{"StringLike":{"aws:Referer":"http://example.org"}}}`: "true",
	} {
		g.ok(t, "app", "PUT", "/box?policy", `{"Statement":[`+statement+`]}`)
		if got := g.ok(t, "app", "GET", "/box?policyStatus", "").Body.String(); !strings.Contains(got, "<IsPublic>"+want+"</IsPublic>") {
			t.Errorf("%s: %s, want %s", statement, got, want)
		}
	}
}

func TestRequestsMaySayWhoseBucketTheyMean(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box/k", "x")
	for header, want := range map[string]string{
		"x-amz-expected-bucket-owner: 000000000000": "200", "x-amz-expected-bucket-owner: app": "200",
		"x-amz-expected-bucket-owner: 123456789012":                                   "403 AccessDenied",
		"x-amz-copy-source: /box/k\nx-amz-source-expected-bucket-owner: 123456789012": "403 AccessDenied",
		"x-amz-copy-source: /box/k\nx-amz-source-expected-bucket-owner: 000000000000": "200",
	} {
		if got := code(g.do(t, "app", "PUT", "/box/l", "", strings.Split(header, "\n")...)); got != want {
			t.Errorf("%s: %s, want %s", header, got, want)
		}
	}
}

func TestBucketsAreMadeWhereTheirEndpointMakesThem(t *testing.T) {
	g := newRig(t)
	for _, c := range []struct{ region, constraint, want string }{
		{"us-east-1", "", "200"}, {"us-east-1", "eu-central-1", "200"}, {"us-east-1", "EU", "200"},
		{"us-east-1", "us-east-1", "400 InvalidLocationConstraint"}, {"us-east-1", "moon", "400 InvalidLocationConstraint"},
		{"us-west-2", "us-west-2", "200"}, {"us-west-2", "", "400 IllegalLocationConstraintException"},
		{"us-west-2", "us-east-1", "400 IllegalLocationConstraintException"}, {"eu-west-1", "EU", "200"},
	} {
		body := ""
		if c.constraint != "" {
			body = "<CreateBucketConfiguration><LocationConstraint>" + c.constraint + "</LocationConstraint></CreateBucketConfiguration>"
		}
		url := "/at-" + c.region + "-" + strings.ToLower(c.constraint) + "x"
		if got := code(g.doIn(t, c.region, "app", "PUT", url, body)); got != c.want {
			t.Errorf("%q at %s: %s, want %s", c.constraint, c.region, got, c.want)
		}
	}
}

func TestLogsGoWhereS3MayWrite(t *testing.T) {
	g := newRig(t)
	for _, b := range []string{"/box", "/closed", "/granted", "/told"} {
		g.ok(t, "app", "PUT", b, "")
	}
	g.ok(t, "other", "PUT", "/others", "")
	g.ok(t, "app", "PUT", "/granted?acl", "", `x-amz-grant-write: uri="http://acs.amazonaws.com/groups/s3/LogDelivery"`, `x-amz-grant-read-acp: uri="http://acs.amazonaws.com/groups/s3/LogDelivery"`)
	g.ok(t, "app", "PUT", "/told?policy", `{"Statement":[{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::told/logs/*",
		"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::box"}}}]}`)
	const bad = "400 InvalidTargetBucketForLogging"
	for _, c := range []struct{ bucket, prefix, want string }{
		{"none", "", bad}, {"others", "", bad}, {"closed", "", bad}, {"told", "x/", bad}, {"told", "logs/", "200"}, {"granted", "", "200"},
	} {
		body := "<BucketLoggingStatus><LoggingEnabled><TargetBucket>" + c.bucket + "</TargetBucket><TargetPrefix>" + c.prefix + "</TargetPrefix></LoggingEnabled></BucketLoggingStatus>"
		if got := code(g.do(t, "app", "PUT", "/box?logging", body)); got != c.want {
			t.Errorf("logs to %s/%s: %s, want %s", c.bucket, c.prefix, got, c.want)
		}
	}
	if got := g.ok(t, "app", "GET", "/box?logging", "").Body.String(); !strings.Contains(got, "<TargetBucket>granted</TargetBucket>") {
		t.Errorf("logging is %s", got)
	}
	g.ok(t, "app", "PUT", "/box?logging", "<BucketLoggingStatus/>")
	if got := g.ok(t, "app", "GET", "/box?logging", "").Body.String(); strings.Contains(got, "Target") {
		t.Errorf("logging is %s", got)
	}
}

func TestMetadataThatIsNotASCIIIsEncoded(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box/k", "", "x-amz-meta-ascii: a b", "x-amz-meta-nonascii: ÄMÄZÕÑ S3")
	h := g.ok(t, "app", "GET", "/box/k", "").Header()
	if got := h["x-amz-meta-ascii"][0] + "|" + h["x-amz-meta-nonascii"][0]; got != "a b|=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?=" {
		t.Errorf("metadata is %s", got)
	}
}
