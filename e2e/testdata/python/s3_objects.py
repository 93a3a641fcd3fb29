"""S3 through boto3, at the endpoint of the environment."""

import io
import os
import unittest
import urllib.error
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError


class S3(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.s3 = boto3.client('s3')
        cls.s3.create_bucket(Bucket='python')

    def refused(self, code, call, **kwargs):
        with self.assertRaises(ClientError) as caught:
            call(**kwargs)
        self.assertEqual(code, caught.exception.response['Error']['Code'])

    def test_objects(self):
        put = self.s3.put_object(Bucket='python', Key='a b/ü+=.txt', Body=b'hello', Metadata={'who': 'ann'}, ContentType='text/plain')
        self.assertEqual('"5d41402abc4b2a76b9719d911017c592"', put['ETag'])
        self.assertEqual('NhCmhg==', put['ChecksumCRC32'])
        got = self.s3.get_object(Bucket='python', Key='a b/ü+=.txt')
        self.assertEqual((b'hello', 'text/plain', {'who': 'ann'}), (got['Body'].read(), got['ContentType'], got['Metadata']))
        self.s3.copy_object(Bucket='python', Key='copy', CopySource={'Bucket': 'python', 'Key': 'a b/ü+=.txt'})
        self.assertEqual(5, self.s3.head_object(Bucket='python', Key='copy')['ContentLength'])
        listed = self.s3.list_objects_v2(Bucket='python', Prefix='a b/')
        self.assertEqual(['a b/ü+=.txt'], [o['Key'] for o in listed['Contents']])
        gone = self.s3.delete_objects(Bucket='python', Delete={'Objects': [{'Key': 'copy'}, {'Key': 'a b/ü+=.txt'}]})
        self.assertEqual(2, len(gone['Deleted']))
        self.refused('NoSuchKey', self.s3.get_object, Bucket='python', Key='copy')
        self.refused('404', self.s3.head_object, Bucket='python', Key='copy')

    def test_checksums(self):
        for algorithm in ('CRC32', 'SHA1', 'SHA256'):
            put = self.s3.put_object(Bucket='python', Key=algorithm, Body=io.BytesIO(b'x' * 70000), ChecksumAlgorithm=algorithm)
            head = self.s3.head_object(Bucket='python', Key=algorithm, ChecksumMode='ENABLED')
            self.assertEqual(put['Checksum' + algorithm], head['Checksum' + algorithm])
        self.refused('BadDigest', self.s3.put_object, Bucket='python', Key='bad', Body=b'x', ChecksumCRC32='AAAAAA==')

    def test_transfer_of_many_parts(self):
        data = os.urandom(20 << 20)
        config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=2)
        self.s3.upload_fileobj(io.BytesIO(data), 'python', 'big', Config=config)
        back = io.BytesIO()
        self.s3.download_fileobj('python', 'big', back, Config=config)
        self.assertEqual(data, back.getvalue())

    def test_presigned_urls_of_both_versions(self):
        # With its defaults boto3 signs URLs of us-east-1 with version 2.
        for client in (self.s3, boto3.client('s3', config=Config(signature_version='s3v4'))):
            url = client.generate_presigned_url('put_object', Params={'Bucket': 'python', 'Key': 'pre signed', 'ContentType': 'text/x', 'Metadata': {'a': 'b'}})
            self.open(urllib.request.Request(url, b'by url', {'Content-Type': 'text/x', 'x-amz-meta-a': 'b'}, method='PUT'))
            url = client.generate_presigned_url('get_object', Params={'Bucket': 'python', 'Key': 'pre signed', 'ResponseContentType': 'text/y'})
            answer = self.open(url)
            self.assertEqual(('text/y', b'by url'), (answer.headers['Content-Type'], answer.read()))
            with self.assertRaises(urllib.error.HTTPError) as caught:
                self.open(url.replace('signed?', 'signed2?'))
            self.assertIn(b'SignatureDoesNotMatch', caught.exception.read())

    def open(self, request):
        import ssl
        context = ssl.create_default_context(cafile=os.environ.get('AWS_CA_BUNDLE') or None)
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
        return opener.open(request)

    def test_settings(self):
        self.s3.put_bucket_cors(Bucket='python', CORSConfiguration={'CORSRules': [{'AllowedMethods': ['GET'], 'AllowedOrigins': ['*']}]})
        self.assertEqual(['*'], self.s3.get_bucket_cors(Bucket='python')['CORSRules'][0]['AllowedOrigins'])
        self.s3.put_bucket_acl(Bucket='python', ACL='private')
        self.s3.put_object(Bucket='python', Key='tagged', Body=b'', Tagging='a=b&c=d')
        self.assertEqual([{'Key': 'a', 'Value': 'b'}, {'Key': 'c', 'Value': 'd'}], self.s3.get_object_tagging(Bucket='python', Key='tagged')['TagSet'])
        self.s3.put_object_tagging(Bucket='python', Key='tagged', Tagging={'TagSet': [{'Key': 'e', 'Value': ''}]})
        self.assertEqual([{'Key': 'e', 'Value': ''}], self.s3.get_object_tagging(Bucket='python', Key='tagged')['TagSet'])
        self.refused('NoSuchTagSet', self.s3.get_bucket_tagging, Bucket='python')
        self.assertNotIn('Status', self.s3.get_bucket_versioning(Bucket='python'))
        self.assertIn('python', [b['Name'] for b in self.s3.list_buckets()['Buckets']])

    def test_versions(self):
        box = {'Bucket': 'python-versions'}
        self.s3.create_bucket(ObjectLockEnabledForBucket=True, **box)
        self.assertEqual('Enabled', self.s3.get_bucket_versioning(**box)['Status'])
        one, two = (self.s3.put_object(Key='k', Body=text, **box)['VersionId'] for text in (b'one', b'two'))
        self.assertEqual(b'one', self.s3.get_object(Key='k', VersionId=one, **box)['Body'].read())
        mark = self.s3.delete_object(Key='k', **box)
        self.assertTrue(mark['DeleteMarker'])
        self.refused('NoSuchKey', self.s3.get_object, Key='k', **box)
        listed = self.s3.list_object_versions(**box)
        self.assertEqual(([two, one], [mark['VersionId']]), ([v['VersionId'] for v in listed['Versions']], [m['VersionId'] for m in listed['DeleteMarkers']]))
        self.s3.put_object_legal_hold(Key='k', VersionId=one, LegalHold={'Status': 'ON'}, **box)
        every = {'Objects': [{'Key': 'k', 'VersionId': v} for v in (one, two, mark['VersionId'])]}
        gone = self.s3.delete_objects(Delete=every, **box)
        self.assertEqual((2, ['AccessDenied']), (len(gone['Deleted']), [e['Code'] for e in gone['Errors']]))
        self.assertEqual(b'one', self.s3.get_object(Key='k', **box)['Body'].read())
        self.s3.put_object_legal_hold(Key='k', VersionId=one, LegalHold={'Status': 'OFF'}, **box)
        self.s3.delete_object(Key='k', VersionId=one, **box)
        self.s3.delete_bucket(**box)

    def test_a_form_uploads(self):
        for version in ('s3', 's3v4'):
            client = boto3.client('s3', config=Config(signature_version=version))
            form = client.generate_presigned_post('python', 'form/${filename}', Conditions=[['content-length-range', 1, 10]])
            answer = self.post(form, b'by form')
            self.assertEqual((204, b'by form'), (answer.status, self.s3.get_object(Bucket='python', Key='form/a.txt')['Body'].read()))
            with self.assertRaises(urllib.error.HTTPError) as caught:
                self.post(form, b'more than ten')
            self.assertIn(b'EntityTooLarge', caught.exception.read())
            form['fields']['key'] = 'elsewhere'
            with self.assertRaises(urllib.error.HTTPError) as caught:
                self.post(form, b'by form')
            self.assertIn(b'AccessDenied', caught.exception.read())

    def post(self, form, data):
        body = b''.join(b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (n.encode(), v.encode()) for n, v in form['fields'].items())
        body += b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + data + b'\r\n--x--\r\n'
        return self.open(urllib.request.Request(form['url'], body, {'Content-Type': 'multipart/form-data; boundary=x'}))

    def test_wrong_keys(self):
        self.refused('InvalidAccessKeyId', boto3.client('s3', aws_access_key_id='AKIANOBODY', aws_secret_access_key='x').list_buckets)
        self.refused('SignatureDoesNotMatch', boto3.client('s3', aws_access_key_id=os.environ['AWS_ACCESS_KEY_ID'], aws_secret_access_key='wrong').list_buckets)
