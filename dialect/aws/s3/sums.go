package s3

import (
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

const (
	checksum = "x-amz-checksum-" // begins the headers with checksums of bodies
	// The names, among an upload's Docs, of the checksum that its object shall have, and of what.
	docSum     = "checksum-algorithm"
	docSumType = "checksum-type"

	crc64nvme = 0x9a6c9329ac4bc9b5
)

// algorithms are the checksums of S3 by the ends of their headers' names.
var algorithms = map[string]func() hash.Hash{
	"crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"crc64nvme": func() hash.Hash { return crc64.New(crc64.MakeTable(crc64nvme)) },
	"sha1":      sha1.New,
	"sha256":    sha256.New,
}

// polynomials are those of the checksums that can be worked out from those of parts.
var polynomials = map[string]uint64{"crc32": crc32.IEEE, "crc32c": crc32.Castagnoli, "crc64nvme": crc64nvme}

// sumsOfUpload reads which checksum the object of an upload shall have.
func sumsOfUpload(c *rest.Call, docs map[string]string) error {
	name, kind := c.Header(docSum), strings.ToUpper(c.Header(docSumType))
	if name == "" {
		return nil
	}
	algorithm := strings.ToLower(name)
	if algorithms[algorithm] == nil {
		return rest.Refuse(400, "InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
	}
	usual := "COMPOSITE"
	if algorithm == "crc64nvme" {
		usual = "FULL_OBJECT"
	}
	kind = cmp.Or(kind, usual)
	if kind == "FULL_OBJECT" && polynomials[algorithm] == 0 || kind == "COMPOSITE" && algorithm == "crc64nvme" || kind != "FULL_OBJECT" && kind != "COMPOSITE" {
		return rest.Refuse(400, "InvalidRequest", "The "+kind+" checksum type cannot be used with the "+strings.ToLower(name)+" checksum algorithm.")
	}
	docs[docSum], docs[docSumType] = algorithm, kind
	c.Set(c.Prefix+docSum, name)
	c.Set(c.Prefix+docSumType, kind)
	return nil
}

// checkPartSum refuses a part with another checksum than its upload's. A part that is copied gets that one.
func checkPartSum(c *rest.Call, want string) error {
	if c.Header("copy-source") != "" {
		if want != "" {
			c.R.Header.Set(c.Prefix+docSum, want)
		}
		return nil
	}
	if want == "" {
		return nil
	}
	other, trailers := "", strings.Split(strings.ReplaceAll(strings.ToLower(c.R.Header.Get("X-Amz-Trailer")), " ", ""), ",")
	for name := range algorithms {
		if !slices.Contains(trailers, checksum+name) && c.Header("checksum-"+name) == "" {
			continue
		}
		if name == want {
			return nil
		}
		other = name
	}
	if other == "" {
		return nil
	}
	return rest.Refuse(400, "InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: "+want+", actual checksum Type: "+other)
}

// complete makes the object's checksum of those of the parts, and compares what the request promises of them.
func complete(c *rest.Call, in *object.CompleteInput, named []rest.CompletePart) error {
	var err error
	if in.Condition, err = condition(c); err != nil {
		return err
	}
	in.Docs = func(of map[string]string, parts []object.Part) (map[string]string, error) {
		if of[docCustomerMD5] != "" && of[docSum] != "" { // the checksum is of bytes that only the key opens
			if _, err := mayOpen(c, of, sseCustomer); err != nil {
				return nil, err
			}
		}
		docs := maps.Clone(of)
		delete(docs, docSum)
		delete(docs, docSumType)
		for i, p := range named {
			for _, x := range p.Others {
				name, ok := strings.CutPrefix(x.XMLName.Local, "Checksum")
				if has := parts[i].Docs[checksum+strings.ToLower(name)]; ok && has != "" && has != x.Value {
					return nil, &object.Error{Reason: object.BadPart, Bucket: c.Bucket, Key: c.Key, Part: p.PartNumber}
				}
			}
		}
		for name := range algorithms {
			whole := of[docSum] == name && of[docSumType] == "FULL_OBJECT"
			sum, ok := sumOfParts(name, parts, whole)
			asked := c.Header("checksum-" + name)
			if ok && (of[docSum] == "" || of[docSum] == name) {
				if docs == nil {
					docs = map[string]string{}
				}
				docs[checksum+name] = sum
			}
			// What is promised of an object whose parts came without checksums cannot be compared.
			if ok && asked != "" && asked != sum && asked+"-"+strconv.Itoa(len(parts)) != sum {
				return nil, rest.Refuse(400, "BadDigest", "The "+name+" you specified did not match the calculated checksum.")
			}
		}
		return docs, nil
	}
	return nil
}

// sumOfParts is the checksum of the parts' checksums, or of all the bytes; ok is false when a part has none.
func sumOfParts(name string, parts []object.Part, whole bool) (sum string, ok bool) {
	all, crc := algorithms[name](), uint64(0)
	for i := range parts {
		raw, err := base64.StdEncoding.DecodeString(parts[i].Docs[checksum+name])
		if err != nil || len(raw) != all.Size() {
			return "", false
		}
		all.Write(raw)
		if whole {
			one := binary.BigEndian.Uint64(append(make([]byte, 8-len(raw), 8), raw...))
			crc = object.CombineCRC(polynomials[name], crc, one, parts[i].Size)
		}
	}
	if whole {
		return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc)[8-all.Size():]), true
	}
	return base64.StdEncoding.EncodeToString(all.Sum(nil)) + "-" + strconv.Itoa(len(parts)), true
}
