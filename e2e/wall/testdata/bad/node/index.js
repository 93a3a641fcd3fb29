const version = 'first'
const answer = (body, more) => ({ isBase64Encoded: false, statusCode: 200, headers: {}, body, ...more })

exports.handler = async (event) => {
  const said = JSON.parse(event)
  switch (said.mode || said.path.split('/').pop()) {
    case 'throws': throw new Error('boom')
    case 'hangs': return new Promise(() => {})
    case 'spins': for (;;);
    case 'exits': process.exit(3)
    case 'prints': for (let i = 0; i < 10; i++) console.log('y'.repeat(1 << 20)); break
    case 'answers-10MB': return answer('x'.repeat(10 << 20))
    case 'answers-garbage': return Buffer.from([0xff, 0xfe, 0, 1])
    case 'answers-nothing': return
    case 'answers-itself': { const o = {}; o.o = o; return o }
    case 'bad-status': return answer('', { statusCode: 1000 })
    case 'bad-header': return answer('', { headers: { 'a b': 'c\r\nd: e' } })
    case 'throws-later': setTimeout(() => { throw new Error('later') }, 1); break
    case 'pid': return answer(String(process.pid))
  }
  return answer(version)
}
