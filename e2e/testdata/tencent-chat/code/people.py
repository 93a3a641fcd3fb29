"""Who is there: one object for each connection."""
import os

import requests
from qcloud_cos_v5 import CosConfig, CosS3Client

client = CosS3Client(CosConfig(
    Region=os.environ["region"],
    SecretId=os.environ["TENCENTCLOUD_SECRETID"],
    SecretKey=os.environ["TENCENTCLOUD_SECRETKEY"],
    Token=os.environ["TENCENTCLOUD_SESSIONTOKEN"],
))
bucket = os.environ["bucket"]


def enter(person):
    client.put_object(Bucket=bucket, Key=person, Body=b"websocket")


def leave(person):
    client.delete_object(Bucket=bucket, Key=person)


def everybody():
    people, marker = [], ""
    while True:
        page = client.list_objects(Bucket=bucket, Marker=marker)
        people += [entry["Key"] for entry in page.get("Contents", [])]
        if page["IsTruncated"] == "false":
            return people
        marker = page["NextMarker"]


def push(message):
    return requests.post(os.environ["url"], json={"websocket": message}).json()
