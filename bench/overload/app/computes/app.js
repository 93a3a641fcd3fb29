const { pbkdf2Sync } = require('crypto');
exports.handler = async (event) => {
  pbkdf2Sync('so many', 'rounds', 24000, 32, 'sha256'); // some 5 ms of processor
  return { statusCode: 200, body: JSON.parse(event.body).data };
};
