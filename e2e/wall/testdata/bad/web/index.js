exports.handler = (req, resp) => {
  switch (req.path.split('/').pop()) {
    case 'throws': throw new Error('boom')
    case 'hangs': return
    case 'exits': process.exit(3)
    case 'prints': for (let i = 0; i < 10; i++) console.log('y'.repeat(1 << 20)); break
    case 'answers-10MB': return resp.send('x'.repeat(10 << 20))
    case 'bad-status': resp.setStatusCode(9999); break
  }
  resp.send('first')
}
