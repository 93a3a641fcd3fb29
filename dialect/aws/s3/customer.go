package s3

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"io"
	"strings"

	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/rest"
)

// With a key of the client's (SSE-C) what is written is encrypted by AES-256 in counter mode, each object
// and each part from a random start of its own: so any range can be read, and sizes are those of the
// client's bytes. The key is not kept, only its MD5.

// The names, among the Docs of an object, an upload or a part, of how its bytes are encrypted.
const (
	docCustomer    = "x-amz-" + sseCustomer + "algorithm"
	docCustomerMD5 = "x-amz-" + sseCustomer + "key-MD5"
	docStart       = "customer-start" // base64; nobody is told
)

var (
	errOtherKey = rest.Refuse(400, "InvalidRequest", "The provided encryption parameters did not match the ones used originally.")
	errNeedsKey = rest.Refuse(400, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.")
	errNoKey    = rest.Refuse(400, "InvalidRequest", "The encryption parameters are not applicable to this object.")
	errPartKey  = rest.Refuse(400, "InvalidRequest", "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.")
)

// customerKey is the client's key in the headers with the names that begin with prefix, nil when there is
// none, and its MD5 as the headers have it.
func customerKey(c *rest.Call, prefix string) (key []byte, sum string, err error) {
	algorithm, text, sum := c.Header(prefix+"algorithm"), c.Header(prefix+"key"), c.Header(prefix+"key-MD5")
	refuse := func(name, value, why string) ([]byte, string, error) {
		return nil, "", rest.Invalid(c.Prefix+prefix+name, value, why)
	}
	const must = "Requests specifying Server Side Encryption with Customer provided keys must provide "
	switch {
	case algorithm == "" && text == "" && sum == "":
		return nil, "", nil
	case algorithm == "":
		return refuse("algorithm", "null", must+"a valid encryption algorithm.")
	case algorithm != "AES256":
		return nil, "", rest.Refuse(400, "InvalidEncryptionAlgorithmError", "The encryption request you specified is not valid. The valid value is AES256.")
	case text == "":
		return refuse("key", "null", must+"an appropriate secret key.")
	case sum == "":
		return refuse("key-MD5", "null", must+"the client calculated MD5 of the secret key.")
	}
	key, err = base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != 32 {
		return refuse("key", "", "The secret key was invalid for the specified algorithm.")
	}
	if sumOf(key) != sum {
		return refuse("key-MD5", sum, "The calculated MD5 hash of the key did not match the hash that was provided.")
	}
	return key, sum, nil
}

func sumOf(key []byte) string {
	sum := md5.Sum(key)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// seal has bytes encrypted with the client's key on their way to where they are kept. A copy has the checksum
// that it asks for worked out.
func seal(c *rest.Call, in *object.PutInput) error {
	name := checksum + lower(c.Header("checksum-algorithm"))
	if sum := algorithms[strings.TrimPrefix(name, checksum)]; sum != nil && c.Header("copy-source") != "" {
		in.Body = &counted{in.Body, sum(), func(text string) { in.Docs[name] = text }}
	}
	key, sum, err := customerKey(c, sseCustomer)
	if key == nil || err != nil {
		return err
	}
	start := make([]byte, aes.BlockSize)
	rand.Read(start)
	stream, err := streamAt(key, start, 0)
	if err != nil {
		return err
	}
	in.Docs[docCustomer], in.Docs[docCustomerMD5], in.Docs[docStart] = "AES256", sum, base64.StdEncoding.EncodeToString(start)
	if in.Body == nil {
		return nil
	}
	if in.MD5 != nil { // it is of the client's bytes
		in.Body, in.MD5 = &summed{in.Body, md5.New(), in.MD5}, nil
	}
	in.Body = cipher.StreamReader{S: stream, R: in.Body}
	return nil
}

// streamAt is the key stream from an offset on.
func streamAt(key, start []byte, offset int64) (cipher.Stream, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	counter := bytes.Clone(start)
	low := binary.BigEndian.Uint64(counter[8:])
	sum := low + uint64(offset/aes.BlockSize)
	binary.BigEndian.PutUint64(counter[8:], sum)
	if sum < low {
		binary.BigEndian.PutUint64(counter, binary.BigEndian.Uint64(counter)+1)
	}
	stream := cipher.NewCTR(block, counter)
	var skipped [aes.BlockSize]byte
	stream.XORKeyStream(skipped[:offset%aes.BlockSize], skipped[:offset%aes.BlockSize])
	return stream, nil
}

// summed compares the MD5 of what is read at its end.
type summed struct {
	r    io.Reader
	sum  hash.Hash
	want []byte
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum.Write(p[:n])
	if err == io.EOF && !bytes.Equal(s.sum.Sum(nil), s.want) {
		err = &object.Error{Reason: object.BadDigest}
	}
	return n, err
}

// counted tells the checksum of what is read at its end.
type counted struct {
	r    io.Reader
	sum  hash.Hash
	tell func(sum string)
}

func (k *counted) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	k.sum.Write(p[:n])
	if err == io.EOF {
		k.tell(base64.StdEncoding.EncodeToString(k.sum.Sum(nil)))
	}
	return n, err
}

// mayOpen refuses who has not the key of an object, or one for an object without. It returns the key.
func mayOpen(c *rest.Call, docs map[string]string, prefix string) ([]byte, error) {
	key, sum, err := customerKey(c, prefix)
	switch want := docs[docCustomerMD5]; {
	case err != nil:
		return nil, err
	case want == "" && key != nil:
		return nil, errNoKey
	case want != "" && key == nil:
		return nil, errNeedsKey
	case subtle.ConstantTimeCompare([]byte(want), []byte(sum)) == 0:
		return nil, errOtherKey
	}
	return key, nil
}

// opened is an object's bytes as the client wrote them; source says that a copy reads them.
func opened(c *rest.Call, o *object.Content, source bool) (io.ReadSeeker, error) {
	prefix := sseCustomer
	if source {
		prefix = "copy-source-" + sseCustomer
	}
	key, err := mayOpen(c, o.Docs, prefix)
	if key == nil || err != nil {
		return nil, err
	}
	u := &unsealed{o: o, key: key}
	if o.Kind != object.Multipart {
		return u, u.add(o.Docs[docStart], o.Size)
	}
	list, err := o.ListParts(0, object.MaxParts)
	for i := range list {
		if err == nil {
			err = u.add(list[i].Docs[docStart], list[i].Size)
		}
	}
	return u, err
}

// unsealed decrypts an object.
type unsealed struct {
	o      *object.Content
	key    []byte
	spans  []sealedSpan
	at     int64
	stream cipher.Stream // for what comes at at; nil after a jump
	end    int64         // of the span that stream is for
}

// sealedSpan is bytes that were encrypted from one start.
type sealedSpan struct {
	start    []byte
	from, to int64
}

func (u *unsealed) add(start string, size int64) error {
	raw, err := base64.StdEncoding.DecodeString(start)
	if err != nil || len(raw) != aes.BlockSize {
		return errOtherKey
	}
	from := int64(0)
	if n := len(u.spans); n > 0 {
		from = u.spans[n-1].to
	}
	u.spans = append(u.spans, sealedSpan{raw, from, from + size})
	return nil
}

// Seek sets where Read goes on.
func (u *unsealed) Seek(offset int64, whence int) (int64, error) {
	at, err := u.o.Seek(offset, whence)
	u.at, u.stream = at, nil
	return at, err
}

// Read reads and decrypts, at most to the end of a part.
func (u *unsealed) Read(p []byte) (int, error) {
	if u.stream == nil || u.at == u.end {
		u.stream = nil
		for _, s := range u.spans {
			if s.from <= u.at && u.at < s.to {
				var err error
				if u.stream, err = streamAt(u.key, s.start, u.at-s.from); err != nil {
					return 0, err
				}
				u.end = s.to
				break
			}
		}
		if u.stream == nil {
			return u.o.Read(p) // the end
		}
	}
	n, err := u.o.Read(p[:min(int64(len(p)), u.end-u.at)])
	u.stream.XORKeyStream(p[:n], p[:n])
	u.at += int64(n)
	return n, err
}

// checkPart holds the key and the checksum of a part against those of its upload, and tells how that is encrypted.
func checkPart(c *rest.Call) error {
	u, _, _, err := c.Objects.ListParts(c.Ctx, c.Bucket, c.Key, lower(c.Query.Get("uploadId")), 0, 1)
	if err != nil {
		return nil // what the part itself is refused with
	}
	_, sum, err := customerKey(c, sseCustomer)
	switch want := u.Docs[docCustomerMD5]; {
	case err != nil:
		return err
	case want != "" && sum == "":
		return errPartKey
	case want != sum:
		return errOtherKey
	}
	tellEncryption(c, u.Docs)
	return checkPartSum(c, u.Docs[docSum])
}
