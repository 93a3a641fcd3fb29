"""The management API of WebSocket APIs through boto3."""

import datetime
import os
import unittest

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

OPEN, CLOSED, PENDING, UNKNOWN = (os.environ[name] for name in ('OPEN', 'CLOSED', 'PENDING', 'UNKNOWN'))
LONGEST = 131072


def client(endpoint=os.environ['ENDPOINT'], **keys):
    return boto3.client('apigatewaymanagementapi', endpoint_url=endpoint, config=Config(retries={'total_max_attempts': 1}), **keys)


class Connections(unittest.TestCase):
    maxDiff = None

    def refused(self, status, code, call, **kwargs):
        with self.assertRaises(ClientError) as caught:
            call(**kwargs)
        said = caught.exception.response
        self.assertEqual((status, code), (said['ResponseMetadata']['HTTPStatusCode'], said['Error']['Code']))
        return caught.exception

    def test_all(self):
        api = client()
        for name in (PENDING, CLOSED, UNKNOWN):
            self.assertIsInstance(self.refused(410, 'GoneException', api.post_to_connection, ConnectionId=name, Data=b'x'), api.exceptions.GoneException)
            self.refused(410, 'GoneException', api.get_connection, ConnectionId=name)
            self.refused(410, 'GoneException', api.delete_connection, ConnectionId=name)
        for name in ('abc', 'not an id/at all=', OPEN + 'A'):
            self.refused(400, 'BadRequestException', api.post_to_connection, ConnectionId=name, Data=b'x')
            self.refused(400, 'BadRequestException', api.get_connection, ConnectionId=name)
            self.refused(400, 'BadRequestException', api.delete_connection, ConnectionId=name)

        self.assertEqual(200, api.post_to_connection(ConnectionId=OPEN, Data='héllo'.encode())['ResponseMetadata']['HTTPStatusCode'])
        api.post_to_connection(ConnectionId=OPEN, Data=b'x' * LONGEST)
        e = self.refused(413, 'PayloadTooLargeException', api.post_to_connection, ConnectionId=OPEN, Data=b'x' * (LONGEST + 1))
        self.assertIsInstance(e, api.exceptions.PayloadTooLargeException)

        got = api.get_connection(ConnectionId=OPEN)
        now = datetime.datetime.now(datetime.timezone.utc)
        self.assertEqual({'SourceIp': '127.0.0.1', 'UserAgent': 'test'}, got['Identity'])
        self.assertTrue(now - datetime.timedelta(minutes=5) < got['ConnectedAt'] <= got['LastActiveAt'] <= now, got)

        other = client(os.environ['ENDPOINT'].replace('/Prod', '/Other'))
        self.refused(410, 'GoneException', other.post_to_connection, ConnectionId=OPEN, Data=b'x')
        nowhere = client(os.environ['ENDPOINT'].replace('/Prod', '/prod'))
        self.assertIsInstance(self.refused(403, 'ForbiddenException', nowhere.post_to_connection, ConnectionId=OPEN, Data=b'x'), api.exceptions.ForbiddenException)
        wrong = client(aws_access_key_id=os.environ['AWS_ACCESS_KEY_ID'], aws_secret_access_key='wrong')
        stranger = client(aws_access_key_id='AKIAIOSFODNN7EXAMPLE', aws_secret_access_key='any')
        for code, c in (('InvalidSignatureException', wrong), ('UnrecognizedClientException', stranger)):
            self.refused(403, code, c.post_to_connection, ConnectionId=OPEN, Data=b'x')
            self.refused(403, code, c.get_connection, ConnectionId=OPEN)
            self.refused(403, code, c.delete_connection, ConnectionId=OPEN)

        self.assertEqual(204, api.delete_connection(ConnectionId=OPEN)['ResponseMetadata']['HTTPStatusCode'])
        self.refused(410, 'GoneException', api.post_to_connection, ConnectionId=OPEN, Data=b'x')
