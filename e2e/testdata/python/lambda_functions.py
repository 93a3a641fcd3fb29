"""Lambda through boto3, at the endpoint of the environment."""

import io
import json
import os
import unittest
import urllib.request
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CODE = '''
import os

def handler(event, context):
    if event.get('fail'):
        raise KeyError('x')
    return ['%s', os.environ.get('WHO'), context.function_name, context.memory_limit_in_mb, event]
'''


def package(word):
    b = io.BytesIO()
    with zipfile.ZipFile(b, 'w') as z:
        z.writestr('app.py', CODE % word)
    return b.getvalue()


class Lambda(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.api = boto3.client('lambda', config=Config(retries={'total_max_attempts': 1}))

    def refused(self, code, call, **kwargs):
        with self.assertRaises(ClientError) as caught:
            call(**kwargs)
        self.assertEqual(code, caught.exception.response['Error']['Code'])

    def said(self, payload=b'{}', **kwargs):
        answer = self.api.invoke(FunctionName='py', Payload=payload, **kwargs)
        return json.loads(answer['Payload'].read()), answer

    def test_life(self):
        api = self.api
        made = api.create_function(FunctionName='py', Runtime='python3.11', Role='arn:aws:iam::000000000000:role/any', Handler='app.handler',
                                   Code={'ZipFile': package('first')}, Environment={'Variables': {'WHO': 'ann'}}, MemorySize=256)
        self.assertEqual(('Pending', 3, 'x86_64'), (made['State'], made['Timeout'], made['Architectures'][0]))
        api.get_waiter('function_active_v2').wait(FunctionName='py')
        self.assertEqual(['first', 'ann', 'py', '256', {'a': 'ü'}], [str(x) if isinstance(x, int) else x for x in self.said(json.dumps({'a': 'ü'}))[0]])
        api.update_function_code(FunctionName='py', ZipFile=package('second'))
        api.get_waiter('function_updated_v2').wait(FunctionName='py')
        api.update_function_configuration(FunctionName='py', Timeout=9, Description='d')
        self.assertEqual('second', self.said()[0][0])
        self.assertEqual(9, api.get_function(FunctionName='py')['Configuration']['Timeout'])
        error, answer = self.said(b'{"fail": 1}')
        self.assertEqual(('Unhandled', 'KeyError', "'x'"), (answer['FunctionError'], error['errorType'], error['errorMessage']))
        self.assertEqual(202, self.said_status(InvocationType='Event'))
        self.assertEqual(204, self.said_status(InvocationType='DryRun'))
        api.publish_version(FunctionName='py')
        alias = api.create_alias(FunctionName='py', Name='live', FunctionVersion='1')
        self.assertTrue(alias['AliasArn'].endswith(':function:py:live'))
        self.assertEqual('1', self.said(Qualifier='live')[1]['ExecutedVersion'])
        self.assertEqual(['$LATEST', '1'], [v['Version'] for p in api.get_paginator('list_versions_by_function').paginate(FunctionName='py') for v in p['Versions']])
        arn = made['FunctionArn']
        api.tag_resource(Resource=arn, Tags={'a': 'b', 'c': 'd'})
        api.untag_resource(Resource=arn, TagKeys=['a'])
        self.assertEqual({'c': 'd'}, api.list_tags(Resource=arn)['Tags'])
        api.put_function_event_invoke_config(FunctionName='py', MaximumRetryAttempts=1, MaximumEventAgeInSeconds=100)
        self.assertEqual(1, api.get_function_event_invoke_config(FunctionName='py')['MaximumRetryAttempts'])
        api.put_function_concurrency(FunctionName='py', ReservedConcurrentExecutions=0)
        self.refused('TooManyRequestsException', api.invoke, FunctionName='py')
        api.delete_function_concurrency(FunctionName='py')
        stream = api.invoke_with_response_stream(FunctionName='py', Payload=b'{}')['EventStream']
        self.assertIn(b'second', b''.join(e['PayloadChunk']['Payload'] for e in stream if 'PayloadChunk' in e))
        self.assertGreaterEqual(api.get_account_settings()['AccountUsage']['FunctionCount'], 1)
        api.delete_function(FunctionName='py')
        self.refused('ResourceNotFoundException', api.get_function, FunctionName='py')

    def said_status(self, **kwargs):
        return self.api.invoke(FunctionName='py', Payload=b'{}', **kwargs)['StatusCode']

    def test_refusals(self):
        self.refused('ResourceNotFoundException', self.api.invoke, FunctionName='nobody')
        self.refused('InvalidParameterValueException', self.api.create_function, FunctionName='bad', Runtime='python3.11', Role='arn:aws:iam::000000000000:role/any', Handler='a.b',
                     Code={'ZipFile': b'no zip'})
        wrong = boto3.client('lambda', aws_access_key_id=os.environ['AWS_ACCESS_KEY_ID'], aws_secret_access_key='wrong', config=Config(retries={'total_max_attempts': 1}))
        self.refused('InvalidSignatureException', wrong.list_functions)
        self.refused('InvalidSignatureException', wrong.invoke, FunctionName='streams')
        self.refused('InvalidSignatureException', wrong.invoke_with_response_stream, FunctionName='streams')
        nobody = boto3.client('lambda', aws_access_key_id='AKIANOBODYKNOWSTHIS0', aws_secret_access_key='wrong', config=Config(retries={'total_max_attempts': 1}))
        self.refused('UnrecognizedClientException', nobody.list_functions)

    def test_an_answer_comes_while_it_is_made(self):
        for fail in (False, True):
            gate = 'py-%s' % fail
            out = self.api.invoke_with_response_stream(FunctionName='streams', Payload=json.dumps({'gate': gate, 'fail': fail}))
            text, end, opened = b'', None, False
            for e in out['EventStream']:
                text += e.get('PayloadChunk', {}).get('Payload', b'')
                end = e.get('InvokeComplete', end)
                if not opened and b'one\n\n' in text:
                    opened = True
                    urllib.request.urlopen(os.environ['GATES'] + '/open/' + gate).close()
            head, body = text.split(bytes(8))
            self.assertEqual(202, json.loads(head)['statusCode'])
            self.assertEqual(b'data: one\n\n' if fail else b'data: one\n\ndata: two\n\n', body)
            self.assertEqual(('RangeError', 'Unhandled') if fail else (None, None), (json.loads(end.get('ErrorDetails', '{}')).get('errorType'), end.get('ErrorCode')))


if __name__ == '__main__':
    unittest.main()
