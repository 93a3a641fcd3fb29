"""DynamoDB through boto3's client and its resource, at the endpoint of the environment."""

import unittest
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.config import Config
from botocore.exceptions import ClientError

ONCE = Config(retries={'total_max_attempts': 1})
TABLE = {
    'TableName': 'py-messages',
    'AttributeDefinitions': [{'AttributeName': 'room', 'AttributeType': 'S'}, {'AttributeName': 'at', 'AttributeType': 'N'},
                             {'AttributeName': 'author', 'AttributeType': 'S'}],
    'KeySchema': [{'AttributeName': 'room', 'KeyType': 'HASH'}, {'AttributeName': 'at', 'KeyType': 'RANGE'}],
    'GlobalSecondaryIndexes': [{'IndexName': 'byAuthor', 'KeySchema': [{'AttributeName': 'author', 'KeyType': 'HASH'}, {'AttributeName': 'at', 'KeyType': 'RANGE'}],
                                'Projection': {'ProjectionType': 'ALL'}}],
    'StreamSpecification': {'StreamEnabled': True, 'StreamViewType': 'NEW_AND_OLD_IMAGES'},
    'BillingMode': 'PAY_PER_REQUEST',
}


class DynamoDB(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.table = boto3.resource('dynamodb', config=ONCE).create_table(**TABLE)
        cls.api = cls.table.meta.client
        cls.table.wait_until_exists()

    @classmethod
    def tearDownClass(cls):
        cls.table.delete()
        cls.table.wait_until_not_exists()

    def refused(self, code, call, **kwargs):
        with self.assertRaises(ClientError) as caught:
            call(**kwargs)
        self.assertEqual(code, caught.exception.response['Error']['Code'])
        return caught.exception.response

    def test_items(self):
        item = {'room': 'items', 'at': 1, 'author': 'ann', 'price': Decimal('12.345678901234567890123456789'), 'raw': b'\x00\xff',
                'tags': {'a', 'b'}, 'meta': {'list': [1, None, True, {'x': 'y'}]}}
        self.table.put_item(Item=item, ConditionExpression=Attr('room').not_exists())
        got = self.table.get_item(Key={'room': 'items', 'at': 1}, ConsistentRead=True)['Item']
        got['raw'] = got['raw'].value
        self.assertEqual(item, got)
        failed = self.refused('ConditionalCheckFailedException', self.table.put_item, Item=item,
                              ConditionExpression=Attr('author').ne('ann'), ReturnValuesOnConditionCheckFailure='ALL_OLD')
        self.assertEqual({'S': 'ann'}, failed['Item']['author'])
        done = self.table.update_item(Key={'room': 'items', 'at': 1}, UpdateExpression='SET meta.#l = list_append(meta.#l, :more), price = price + :one DELETE tags :gone',
                                      ExpressionAttributeNames={'#l': 'list'}, ExpressionAttributeValues={':more': [2], ':one': 1, ':gone': {'a'}}, ReturnValues='UPDATED_NEW')
        self.assertEqual({'meta': {'list': [1, None, True, {'x': 'y'}, 2]}, 'price': Decimal('13.345678901234567890123456789'), 'tags': {'b'}}, done['Attributes'])
        self.refused('ValidationException', self.table.update_item, Key={'room': 'items', 'at': 1}, UpdateExpression='SET size = :x', ExpressionAttributeValues={':x': 1})

    def test_queries_and_scans(self):
        with self.table.batch_writer() as batch:
            for i in range(30):
                batch.put_item({'room': 'pages', 'at': i, 'author': 'bob' if i % 3 else 'cid'})
        found = self.table.query(IndexName='byAuthor', KeyConditionExpression=Key('author').eq('cid') & Key('at').between(3, 21), ScanIndexForward=False)
        self.assertEqual([21, 18, 15, 12, 9, 6, 3], [i['at'] for i in found['Items']])
        pages = self.api.get_paginator('scan').paginate(TableName=self.table.name, FilterExpression=Attr('room').eq('pages'), PaginationConfig={'PageSize': 7})
        self.assertEqual(30, sum(page['Count'] for page in pages))
        got = self.api.batch_get_item(RequestItems={self.table.name: {'Keys': [{'room': 'pages', 'at': i} for i in (1, 2, 99)]}})
        self.assertEqual([1, 2], sorted(i['at'] for i in got['Responses'][self.table.name]))

    def test_transactions(self):
        put = {'TableName': self.table.name, 'Item': {'room': 'tx', 'at': 1}, 'ConditionExpression': 'attribute_not_exists(room)'}
        self.api.transact_write_items(TransactItems=[{'Put': put}])
        failed = self.refused('TransactionCanceledException', self.api.transact_write_items,
                              TransactItems=[{'Put': dict(put, Item={'room': 'tx', 'at': 2})}, {'Put': put}])
        self.assertEqual(['None', 'ConditionalCheckFailed'], [r['Code'] for r in failed['CancellationReasons']])
        got = self.api.transact_get_items(TransactItems=[{'Get': {'TableName': self.table.name, 'Key': {'room': 'tx', 'at': at}}} for at in (1, 2)])
        self.assertEqual([True, False], ['Item' in r for r in got['Responses']])

    def test_time_to_live_backups_and_tags(self):
        name, arn = self.table.name, self.table.table_arn
        self.api.update_time_to_live(TableName=name, TimeToLiveSpecification={'Enabled': True, 'AttributeName': 'ends'})
        self.assertEqual({'TimeToLiveStatus': 'ENABLED', 'AttributeName': 'ends'}, self.api.describe_time_to_live(TableName=name)['TimeToLiveDescription'])
        self.api.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification={'PointInTimeRecoveryEnabled': True})
        described = self.api.describe_continuous_backups(TableName=name)['ContinuousBackupsDescription']
        self.assertEqual('ENABLED', described['PointInTimeRecoveryDescription']['PointInTimeRecoveryStatus'])
        self.api.tag_resource(ResourceArn=arn, Tags=[{'Key': 'a', 'Value': 'b'}])
        self.assertEqual([{'Key': 'a', 'Value': 'b'}], self.api.list_tags_of_resource(ResourceArn=arn)['Tags'])

    def test_partiql(self):
        self.api.execute_statement(Statement="INSERT INTO \"py-messages\" VALUE {'room': 'ql', 'at': 1, 'text': ?}", Parameters=['it''s'])
        self.refused('DuplicateItemException', self.api.execute_statement, Statement="INSERT INTO \"py-messages\" VALUE {'room': 'ql', 'at': 1}")
        self.api.execute_statement(Statement="UPDATE \"py-messages\" SET text = 'new' WHERE room = 'ql' AND at = 1")
        self.assertEqual([{'text': 'new'}], self.api.execute_statement(Statement="SELECT text FROM \"py-messages\" WHERE room = 'ql'")['Items'])

    def test_streams(self):
        streams = boto3.client('dynamodbstreams', config=ONCE)
        self.table.put_item(Item={'room': 'stream', 'at': 1})
        self.table.delete_item(Key={'room': 'stream', 'at': 1})
        arn = streams.list_streams(TableName=self.table.name)['Streams'][0]['StreamArn']
        shard = streams.describe_stream(StreamArn=arn)['StreamDescription']['Shards'][0]['ShardId']
        at = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType='TRIM_HORIZON')['ShardIterator']
        records = [r for r in streams.get_records(ShardIterator=at)['Records'] if r['dynamodb']['Keys']['room'] == {'S': 'stream'}]
        self.assertEqual(['INSERT', 'REMOVE'], [r['eventName'] for r in records])
        self.assertEqual({'room': {'S': 'stream'}, 'at': {'N': '1'}}, records[1]['dynamodb']['OldImage'])

    def test_signatures(self):
        keys = boto3.Session().get_credentials()
        wrong = boto3.client('dynamodb', config=ONCE, aws_access_key_id=keys.access_key, aws_secret_access_key='wrong', aws_session_token=None)
        failed = self.refused('InvalidSignatureException', wrong.list_tables)
        self.assertIn('The request signature we calculated does not match the signature you provided.', failed['Error']['Message'])
        unknown = boto3.client('dynamodb', config=ONCE, aws_access_key_id='AKIAUNKNOWN', aws_secret_access_key='x')
        self.assertEqual('The security token included in the request is invalid.', self.refused('UnrecognizedClientException', unknown.list_tables)['Error']['Message'])
