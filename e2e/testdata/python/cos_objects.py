"""COS through its Python SDK, at the address of the environment."""

import io
import os
import unittest

from qcloud_cos import CosConfig, CosS3Client, CosServiceError


class COS(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        host, port = os.environ['COS_ADDR'].split(':')
        cls.cos = CosS3Client(CosConfig(Region='ap-guangzhou', SecretId=os.environ['COS_ID'], SecretKey=os.environ['COS_SECRET'], Scheme='http', IP=host, Port=int(port)))
        cls.cos.create_bucket(Bucket='python-1250000000')
        cls.at = {'Bucket': 'python-1250000000'}

    def test_objects(self):
        key = "dir/a b+c=中~!*()'.txt"
        put = self.cos.put_object(**self.at, Key=key, Body=b'websocket', ContentType='text/plain', Metadata={'x-cos-meta-who': 'ann'})
        self.assertEqual('"bf56d570e62cdb573c86b18526296117"', put['ETag'])
        got = self.cos.get_object(**self.at, Key=key)
        self.assertEqual((b'websocket', 'text/plain', 'ann'), (got['Body'].get_raw_stream().read(), got['Content-Type'], got['x-cos-meta-who']))
        listed = self.cos.list_objects(**self.at, Prefix='dir/')
        self.assertEqual([key], [o['Key'] for o in listed['Contents']])
        self.assertNotIn('Contents', self.cos.list_objects(**self.at, Prefix='none/'))
        gone = self.cos.delete_objects(**self.at, Delete={'Object': [{'Key': key}], 'Quiet': 'false'})
        self.assertEqual(1, len(gone['Deleted']))
        with self.assertRaises(CosServiceError) as caught:
            self.cos.get_object(**self.at, Key=key)
        self.assertEqual((404, 'NoSuchKey', 'The specified key does not exist.'), (caught.exception.get_status_code(), caught.exception.get_error_code(), caught.exception.get_error_msg()))

    def test_a_big_object_goes_up_in_parts(self):
        data = os.urandom(5 << 20)
        path = '/tmp/sluice-cos-%d' % os.getpid()
        with open(path, 'wb') as f:
            f.write(data)
        self.addCleanup(os.remove, path)
        self.cos.upload_file(**self.at, Key='big', LocalFilePath=path, PartSize=1, MAXThread=2)
        self.assertEqual(data, self.cos.get_object(**self.at, Key='big')['Body'].get_raw_stream().read())

    def test_presigned_urls(self):
        import requests
        self.cos.put_object(**self.at, Key='signed', Body=io.BytesIO(b'by url'))
        host = 'python-1250000000.cos.ap-guangzhou.myqcloud.com'
        signer = CosS3Client(CosConfig(Region='ap-guangzhou', SecretId=os.environ['COS_ID'], SecretKey=os.environ['COS_SECRET'], Scheme='http'))
        url = signer.get_presigned_url(Method='GET', **self.at, Key='signed')
        got = requests.get(url.replace(host, os.environ['COS_ADDR']), headers={'Host': host})
        self.assertEqual('by url', got.text)

    def test_settings(self):
        self.cos.put_bucket_website(**self.at, WebsiteConfiguration={'IndexDocument': {'Suffix': 'index.html'}})
        self.assertEqual('index.html', self.cos.get_bucket_website(**self.at)['IndexDocument']['Suffix'])
        self.cos.put_bucket_acl(**self.at, ACL='public-read')
        self.assertEqual(2, len(self.cos.get_bucket_acl(**self.at)['AccessControlList']['Grant']))
        self.cos.put_bucket_tagging(**self.at, Tagging={'TagSet': {'Tag': [{'Key': 'a', 'Value': 'b'}]}})
        self.assertEqual('b', self.cos.get_bucket_tagging(**self.at)['TagSet']['Tag'][0]['Value'])
