"""Answers a message through the socket that it came by."""

import os

import boto3


def handler(event, context):
    c = event['requestContext']
    to = f"https://{c['apiId']}.execute-api.{os.environ['AWS_REGION']}.amazonaws.com/{c['stage']}"
    boto3.client('apigatewaymanagementapi', endpoint_url=to).post_to_connection(ConnectionId=c['connectionId'], Data=b'from python')
    return {'statusCode': 200}
