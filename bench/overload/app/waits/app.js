exports.handler = async (event) => {
  await new Promise((done) => setTimeout(done, 20));
  return { statusCode: 200, body: JSON.parse(event.body).data };
};
