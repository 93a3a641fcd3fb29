package s3

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzRequests sends what a stranger with a key may send: nothing of it may break the server, nor may what is
// kept of it break a sweep or a reader.
func FuzzRequests(f *testing.F) {
	for _, c := range [][3]string{
		{"PUT", "/box?lifecycle", lifecycleOf("<Filter><And><Prefix>a</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter><Expiration><Days>1</Days></Expiration>")},
		{"PUT", "/box?policy", `{"Statement":{"Effect":"Deny","Principal":{"AWS":["*"]},"Action":"s3:*","Resource":"*","Condition":{"Null":{"s3:x":"true"}}}}`},
		{"PUT", "/box?acl", toOther},
		{"PUT", "/box?logging", "<BucketLoggingStatus><LoggingEnabled><TargetBucket>box</TargetBucket></LoggingEnabled></BucketLoggingStatus>"},
		{"PUT", "/box?cors", "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"},
		{"PUT", "/box?website", "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>"},
		{"PUT", "/box?encryption", "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"},
		{"PUT", "/box?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"},
		{"PUT", "/box?tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"},
		{"PUT", "/box?ownershipControls", "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>"},
		{"POST", "/box?delete", "<Delete><Object><Key>k</Key></Object></Delete>"},
		{"GET", "/box?versions&key-marker=a&version-id-marker=b&max-keys=1", ""},
		{"GET", "/box?list-type=2&continuation-token=a&delimiter=/&encoding-type=url", ""},
		{"GET", "/box/k?partNumber=1&response-expires=x", "Range: bytes=0-1"},
		{"PUT", "/box/l", "x-amz-copy-source: /box/k?versionId=null\nx-amz-tagging: a=b&c=%\nx-amz-grant-read: id=\"a\", uri=b"},
		{"GET", "/box/k?attributes", "x-amz-object-attributes: ETag,ObjectParts\nx-amz-max-parts: 1"},
	} {
		f.Add(c[0], c[1], c[2], c[2])
	}
	f.Fuzz(func(t *testing.T, method, target, body, header string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \r\n\t") || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || method == "" {
			return
		}
		var lines []string
		for line := range strings.SplitSeq(header, "\n") {
			if name, _, ok := strings.Cut(line, ": "); ok && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz-") == "" {
				lines = append(lines, line)
			}
		}
		g := newRig(t)
		g.ok(t, "app", "PUT", "/box", "")
		g.ok(t, "app", "PUT", "/box/k", "text")
		for _, who := range []string{"app", "other", ""} {
			if w := g.do(t, who, method, target, body, lines...); w.Code >= 500 && w.Code != 501 {
				t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
			}
		}
		for _, url := range []string{"/box", "/box?policyStatus", "/box?acl", "/box?website", "/box?object-lock", "/box/k?acl", "/box/k"} {
			for _, who := range []string{"app", ""} {
				if w := g.do(t, who, "GET", url, "", "Origin: http://a.example"); w.Code >= 500 {
					t.Fatalf("GET %s after %s %s: %d %s", url, method, target, w.Code, w.Body)
				}
			}
		}
		g.after(t, 1)
	})
}
