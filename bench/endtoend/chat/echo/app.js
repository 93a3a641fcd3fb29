export const handler = async (event) => ({ statusCode: 200, body: 'echo ' + JSON.parse(event.body).data });
