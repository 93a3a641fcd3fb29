exports.main = async (event) => {
  if (event.path === '/raw') return { query: event.queryString };
  return {
    isBase64Encoded: false, statusCode: 201, headers: { 'Content-Type': 'text/plain' },
    body: `hello ${event.pathParameters.name}, talk at ${process.env.socket}`,
  };
};
