exports.handler = async (event) => ({ statusCode: 200, body: JSON.parse(event.body).data });
