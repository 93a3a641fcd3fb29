package s3

import (
	"encoding/xml"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

// checksumNames are the checksums as elements spell them.
var checksumNames = []string{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"}

func lower(s string) string { return strings.ToLower(s) }

// composite reports whether a checksum is one of the checksums of parts.
func composite(sum string) bool { return strings.Contains(sum, "-") }

// checksumType says of what an object's checksum is.
func checksumType(o *object.Object) string {
	for name, v := range o.Docs {
		if strings.HasPrefix(name, checksum) && composite(v) {
			return "COMPOSITE"
		}
	}
	return "FULL_OBJECT"
}

// getAttributes tells what is asked of an object, without its bytes.
func getAttributes(c *rest.Call) error {
	var asked []string
	for _, line := range c.R.Header.Values("X-Amz-Object-Attributes") {
		for name := range strings.SplitSeq(line, ",") {
			asked = append(asked, strings.TrimSpace(name))
		}
	}
	if len(asked) == 0 {
		return rest.Invalid("x-amz-object-attributes", "", "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	for _, name := range asked {
		if !slices.Contains([]string{"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}, name) {
			return rest.Invalid("x-amz-object-attributes", name, "Invalid attribute name specified.")
		}
	}
	o, err := c.Objects.GetVersion(c.Ctx, c.Bucket, c.Key, c.Query.Get("versionId"))
	if err != nil {
		return err
	}
	defer o.Close()
	if _, err := mayOpen(c, o.Docs, sseCustomer); err != nil {
		return err
	}
	type part struct {
		PartNumber int
		Size       int64
		Sums       []rest.Element
	}
	type parts struct {
		PartsCount           int
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		Part                 []part
	}
	type group struct{ Sums []rest.Element }
	out := struct {
		XMLName      xml.Name `xml:"GetObjectAttributesResponse"`
		ETag         string   `xml:",omitempty"`
		Checksum     *group
		ObjectParts  *parts
		StorageClass string `xml:",omitempty"`
		ObjectSize   *int64
	}{}
	for _, name := range asked {
		switch name {
		case "ETag":
			out.ETag = o.ETag
		case "Checksum":
			if list := sums(c, &o.Object); len(list) > 0 {
				for i := range list { // of how many parts it is, ObjectParts says
					list[i].Value, _, _ = strings.Cut(list[i].Value, "-")
				}
				out.Checksum = &group{list}
			}
		case "StorageClass":
			out.StorageClass = c.Storage
		case "ObjectSize":
			out.ObjectSize = &o.Size
		case "ObjectParts":
			if o.Kind != object.Multipart {
				continue
			}
			p := &parts{PartsCount: o.Object.Parts, MaxParts: 1000}
			for header, into := range map[string]*int{"max-parts": &p.MaxParts, "part-number-marker": &p.PartNumberMarker} {
				if text := c.Header(header); text != "" {
					if *into, err = strconv.Atoi(text); err != nil || *into < 0 {
						return rest.Invalid(c.Prefix+header, text, "Provided "+header+" not an integer or within integer range")
					}
				}
			}
			p.MaxParts = min(p.MaxParts, 1000)
			list, err := o.ListParts(p.PartNumberMarker, p.MaxParts)
			if err != nil {
				return err
			}
			for _, one := range list {
				x := part{PartNumber: one.Number, Size: one.Size}
				for _, name := range checksumNames {
					if v := one.Docs[checksum+lower(name)]; v != "" {
						x.Sums = append(x.Sums, rest.Element{XMLName: xml.Name{Local: "Checksum" + name}, Value: v})
					}
				}
				p.Part = append(p.Part, x)
				p.NextPartNumberMarker = one.Number
			}
			p.IsTruncated = p.NextPartNumberMarker < p.PartsCount && len(list) == p.MaxParts
			out.ObjectParts = p
		}
	}
	c.TellVersion(&o.Object)
	c.Set("Last-Modified", o.Modified.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
	return c.Answer(out)
}
