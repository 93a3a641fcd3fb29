import time
import urllib.request


def handler(event, context):
    """Tells whoever a client names that the client is coming, and lets it in when that is answered."""
    me = event['requestContext']['connectionId']
    waits = (event.get('queryStringParameters') or {}).get('waits')
    if waits:
        urllib.request.urlopen(waits, me.encode()).read()
    return {'statusCode': 200, 'body': me}


def guard(event, context):
    """Does with a client what it asks for."""
    how = event['queryStringParameters']['how']
    if how == 'slow':
        time.sleep(15)
    if how == 'throws':
        raise RuntimeError('boom')
    if how == 'unauthorized':
        raise Exception('Unauthorized')
    effect = 'Deny' if how == 'denies' else 'Allow'
    statement = {'Action': 'execute-api:Invoke', 'Effect': effect, 'Resource': event['methodArn']}
    return {'principalId': 'anybody', 'policyDocument': {'Version': '2012-10-17', 'Statement': [statement]}}


def sleeper(event, context):
    if (event.get('queryStringParameters') or {}).get('how') == 'sleeps':
        time.sleep(15)
    return {'statusCode': 200, 'body': event['requestContext']['connectionId']}
