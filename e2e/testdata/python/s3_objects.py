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

    def test_wrong_keys(self):
        self.refused('InvalidAccessKeyId', boto3.client('s3', aws_access_key_id='AKIANOBODY', aws_secret_access_key='x').list_buckets)
        self.refused('SignatureDoesNotMatch', boto3.client('s3', aws_access_key_id=os.environ['AWS_ACCESS_KEY_ID'], aws_secret_access_key='wrong').list_buckets)
