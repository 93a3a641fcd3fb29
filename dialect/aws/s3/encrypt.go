package s3

import (
	"encoding/xml"
	"net/http"

	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

// sluice leaves the encryption of what it stores to the disk under it: what a request or its bucket says
// of encryption with keys of the server's is checked, kept and told again. With keys of the client's it
// encrypts (see customer.go).
const (
	sseAlgorithm = "server-side-encryption"
	sseKey       = "server-side-encryption-aws-kms-key-id"
	sseBucketKey = "server-side-encryption-bucket-key-enabled"
	sseCustomer  = "server-side-encryption-customer-"
)

// encryptions are the names, among an object's Docs, of how it is said to be encrypted.
var encryptions = []string{"x-amz-" + sseAlgorithm, "x-amz-" + sseKey, "x-amz-" + sseBucketKey, docCustomer, docCustomerMD5}

type encryptionXML struct {
	XMLName xml.Name `xml:"ServerSideEncryptionConfiguration"`
	Rule    []struct {
		Default *struct {
			SSEAlgorithm   string
			KMSMasterKeyID string
		} `xml:"ApplyServerSideEncryptionByDefault"`
		BucketKeyEnabled string
	}
}

func checkEncryption(doc []byte) error {
	var in encryptionXML
	if xml.Unmarshal(doc, &in) != nil || len(in.Rule) != 1 {
		return rest.Malformed()
	}
	if d := in.Rule[0].Default; d != nil && !isEncryption(d.SSEAlgorithm) {
		return rest.Malformed()
	}
	return nil
}

func isEncryption(algorithm string) bool {
	return algorithm == "AES256" || algorithm == "aws:kms" || algorithm == "aws:kms:dsse"
}

// encryptDocs reads how an object that is written shall be encrypted: as its request says, or its bucket.
func encryptDocs(c *rest.Call, docs map[string]string) error {
	algorithm, key := c.Header(sseAlgorithm), c.Header(sseKey)
	secret, sum, err := customerKey(c, sseCustomer)
	switch {
	case err != nil:
		return err
	case secret != nil && algorithm != "":
		return rest.Invalid(c.Prefix+sseAlgorithm, algorithm, "Server Side Encryption with Customer provided key is incompatible with the encryption method specified")
	case secret != nil:
		docs[docCustomer], docs[docCustomerMD5] = "AES256", sum
		return nil
	case algorithm == "" && key != "":
		return rest.Invalid(c.Prefix+sseAlgorithm, "null", "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
	case algorithm != "" && !isEncryption(algorithm):
		return rest.Invalid(c.Prefix+sseAlgorithm, algorithm, "The encryption method specified is not supported")
	case algorithm == "AES256" && key != "":
		return rest.Invalid(c.Prefix+sseAlgorithm, algorithm, "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
	}
	bucketKey := c.Header(sseBucketKey)
	if doc := c.Doc(c.B, encryption.Name); algorithm == "" && doc != nil {
		var rule encryptionXML
		if err := xml.Unmarshal(doc, &rule); err != nil {
			return err
		}
		if len(rule.Rule) > 0 && rule.Rule[0].Default != nil {
			algorithm, key = rule.Rule[0].Default.SSEAlgorithm, rule.Rule[0].Default.KMSMasterKeyID
		}
	}
	for i, v := range []string{algorithm, key, bucketKey} {
		if v != "" {
			docs[encryptions[i]] = v
		}
	}
	return nil
}

// tellEncryption sets the headers that tell how an object is said to be encrypted.
func tellEncryption(c *rest.Call, docs map[string]string) {
	for _, name := range encryptions {
		if v := docs[name]; v != "" {
			c.Set(name, v)
		}
	}
}

// inherit says what a copy has of its source besides bytes, headers and metadata.
func inherit(c *rest.Call, name, value string, _ bool) bool {
	switch {
	case name == docTags:
		return c.Header("tagging-directive") != "REPLACE"
	case len(name) > len(checksum) && name[:len(checksum)] == checksum:
		return !composite(value) && c.Header("checksum-algorithm") == "" // else what is asked for is worked out
	}
	return false
}

// sums are an object's checksums as the answers to copies and completed uploads have them; of a part that was
// copied, too, whose kind nobody asks for.
func sums(c *rest.Call, o *object.Object) (list []rest.Element) {
	tellEncryption(c, o.Docs)
	for _, name := range checksumNames {
		if v := o.Docs[checksum+lower(name)]; v != "" {
			list = append(list, rest.Element{XMLName: xml.Name{Local: "Checksum" + name}, Value: v})
		}
	}
	if part := c.Sub == "uploadId" && c.R.Method == http.MethodPut; len(list) > 0 && !part {
		list = append(list, rest.Element{XMLName: xml.Name{Local: "ChecksumType"}, Value: checksumType(o)})
	}
	return list
}
