"""Activation codes: one handler for each of the four functions."""

import json
import logging
import os
import time
import uuid

from tablestore import (
    BatchWriteRowRequest,
    ComparatorType,
    CompositeColumnCondition,
    Condition,
    LogicalOperator,
    OTSClient,
    OTSServiceError,
    PutRowItem,
    ReservedThroughput,
    CapacityUnit,
    Row,
    RowExistenceExpectation,
    SingleColumnCondition,
    TableInBatchWriteRowItem,
    TableMeta,
    TableOptions,
    WriteRetryPolicy,
)

TABLE = "activation_code"
BATCH = 200
log = logging.getLogger()


def client(context):
    keys = context.credentials
    return OTSClient(
        os.environ["ENDPOINT"],
        keys.access_key_id,
        keys.access_key_secret,
        os.environ["INSTANCE"],
        sts_token=keys.security_token,
        retry_policy=WriteRetryPolicy(),
        logger_name="tablestore",
    )


def epoch(text):
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


def create_table(ots):
    meta = TableMeta(TABLE, [("uuid", "STRING")])
    try:
        ots.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
    except OTSServiceError as e:
        if e.code != "OTSObjectAlreadyExist":
            raise


def gen_code(event, context):
    asked = json.loads(event)
    start, end = epoch(asked["start period"]), epoch(asked["end period"])
    ots = client(context)
    create_table(ots)
    left = int(asked["num"])
    while left > 0:
        items = []
        for _ in range(min(left, BATCH)):
            row = Row(
                [("uuid", str(uuid.uuid4()))],
                [("status", "UNACTIVED"), ("start", start), ("end", end)],
            )
            items.append(PutRowItem(row, Condition(RowExistenceExpectation.EXPECT_NOT_EXIST)))
        request = BatchWriteRowRequest()
        request.add(TableInBatchWriteRowItem(TABLE, items))
        answer = ots.batch_write_row(request)
        made, failed = answer.get_put()
        for item in failed:
            log.error("%s: %s", item.error_code, item.error_message)
        left -= len(made)
    return "ok"


def use_code(event, context):
    key = [("uuid", json.loads(event)["uuid"])]
    unused = SingleColumnCondition("status", "UNACTIVED", ComparatorType.EQUAL)
    try:
        client(context).update_row(
            TABLE,
            Row(key, {"PUT": [("status", "ACTIVED")]}),
            Condition(RowExistenceExpectation.EXPECT_EXIST, unused),
        )
    except OTSServiceError as e:
        log.info("not used: %s", e.code)
        return "FAILED"
    return "SUCCEED"


def query_code(event, context):
    key = [("uuid", json.loads(event)["uuid"])]
    known = CompositeColumnCondition(LogicalOperator.OR)
    known.add_sub_condition(SingleColumnCondition("status", "UNACTIVED", ComparatorType.EQUAL))
    known.add_sub_condition(SingleColumnCondition("status", "ACTIVED", ComparatorType.EQUAL))
    _, row, _ = client(context).get_row(TABLE, key, ["status", "start", "end"], known, 1)
    if row is None:
        return "NO EXISTED"
    columns = {column[0]: column[1] for column in row.attribute_columns}
    if not columns["start"] <= time.time() < columns["end"]:
        return "TIMEINVALID"
    return columns["status"]


def del_code(event, context):
    key = [("uuid", json.loads(event)["uuid"])]
    any_state = SingleColumnCondition("status", "", ComparatorType.NOT_EQUAL)
    try:
        client(context).delete_row(TABLE, Row(key), Condition(RowExistenceExpectation.IGNORE, any_state))
    except OTSServiceError as e:
        log.error("not deleted: %s", e.code)
        return "FAILED"
    return "SUCCEED"
