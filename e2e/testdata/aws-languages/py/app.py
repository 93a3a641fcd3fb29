"""Answers a message through the socket that it came by; tells its ear of objects."""

import os
import urllib.request

import boto3


def handler(event, context):
    for r in event.get('Records', []):
        key, bucket = r['s3']['object']['key'], r['s3']['bucket']['name']
        body = boto3.client('s3').get_object(Bucket=bucket, Key=key)['Body'].read().decode()
        urllib.request.urlopen(os.environ['EAR'], f"{r['eventName']} {bucket} {key} {body}".encode()).read()
    if 'Records' in event:
        return
    c = event['requestContext']
    to = f"https://{c['apiId']}.execute-api.{os.environ['AWS_REGION']}.amazonaws.com/{c['stage']}"
    boto3.client('apigatewaymanagementapi', endpoint_url=to).post_to_connection(ConnectionId=c['connectionId'], Data=b'from python')
    return {'statusCode': 200}
