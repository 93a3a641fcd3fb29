import people


def main_handler(event, context):
    for name in event["websocket"]:
        print(name + ": " + event["websocket"][name])
    sender, there = event["websocket"]["secConnectionID"], people.everybody()
    text = "%s(===Online people:%d===)" % (event["websocket"]["data"], len(there))
    for person in there:
        if person != sender:
            people.push({"action": "data send", "secConnectionID": person, "dataType": "text", "data": text})
    return "send success"
