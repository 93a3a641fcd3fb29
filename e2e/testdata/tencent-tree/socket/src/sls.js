// Runs anew for every event; what is in global stays.
global.rooms = global.rooms || {};

on('connect', async (data, socket) => {
  if (socket.event.queryString.name === 'nobody') throw new Error('not you');
});
on('message', async (data, socket) => {
  if (typeof data === 'string') return socket.send(`${process.env.GREETING}: ${data}`);
  if (data.to) return socket.send(data, data.to);
  return socket.send({ id: socket.id });
});
on('disconnect', async (data, socket) => console.log(`left ${socket.id}`));
