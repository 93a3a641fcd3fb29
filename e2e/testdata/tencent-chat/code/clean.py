import people


def main_handler(event, context):
    person = event["websocket"]["secConnectionID"]
    answer = people.push({"action": "closing", "secConnectionID": person})
    if answer["errNo"] != 10004:
        raise Exception(str(answer))
    people.leave(person)
    return event
