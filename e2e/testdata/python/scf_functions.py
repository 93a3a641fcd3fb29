"""The official SDK for Python calls the functions of a real server."""
import json
import os
import unittest

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.scf.v20180416 import models, scf_client


def client(key, secret, method='POST'):
    profile = HttpProfile(protocol='http', endpoint=os.environ['SCF_ADMIN'], reqMethod=method)
    return scf_client.ScfClient(credential.Credential(key, secret), 'ap-guangzhou', ClientProfile(httpProfile=profile))


class Functions(unittest.TestCase):
    def setUp(self):
        self.key, self.secret = os.environ['TENCENTCLOUD_SECRETID'], os.environ['TENCENTCLOUD_SECRETKEY']
        self.client = client(self.key, self.secret)

    def invoke(self, c=None, **params):
        r = models.InvokeRequest()
        r.from_json_string(json.dumps(params))
        return (c or self.client).Invoke(r).Result

    def test_calls(self):
        r = self.invoke(FunctionName='Shell', ClientContext='"x"')
        self.assertEqual((json.loads(r.RetMsg), r.InvokeResult), ('hello "x"', 0))
        r = self.invoke(FunctionName='Hello', ClientContext='{"fail": true}')
        self.assertIn('ValueError: told to', r.ErrMsg)

    def test_a_get_request(self):
        r = models.ListFunctionsRequest()
        r.from_json_string('{"Limit": 1, "SearchKey": "el"}')
        got = client(self.key, self.secret, 'GET').ListFunctions(r)
        self.assertEqual(([f.FunctionName for f in got.Functions], got.TotalCount), (['Hello'], 2))

    def test_refusals(self):
        for code, c, name in (('ResourceNotFound.Function', self.client, 'None'), ('AuthFailure.SignatureFailure', client(self.key, 'wrong'), 'Hello'),
                              ('AuthFailure.SecretIdNotFound', client('AKIDnobody', 'wrong'), 'Hello')):
            with self.assertRaises(TencentCloudSDKException) as caught:
                self.invoke(c, FunctionName=name)
            self.assertEqual(caught.exception.get_code(), code)


if __name__ == '__main__':
    unittest.main()
