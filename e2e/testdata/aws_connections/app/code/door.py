"""Tells whoever a client names that the client is coming, and lets it in when that is answered."""

import urllib.request


def handler(event, context):
    me = event['requestContext']['connectionId']
    waits = (event.get('queryStringParameters') or {}).get('waits')
    if waits:
        urllib.request.urlopen(waits, me.encode()).read()
    return {'statusCode': 200, 'body': me}
