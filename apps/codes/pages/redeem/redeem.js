// Uses a code. A request whose answer was lost is sent again with the same key, and gets the same answer.
const $ = (id) => document.getElementById(id);

function tell(text, good) {
  $('told').hidden = false;
  $('told').className = good ? 'good' : '';
  $('told').textContent = text.charAt(0).toUpperCase() + text.slice(1) + (/[.!]$/.test(text) ? '' : '.');
}

async function call(path, body, key) {
  for (let pause = 400, end = Date.now() + 20_000; ; pause *= 2) {
    try {
      const answer = await fetch('/api' + path, { method: 'POST', headers: { 'Content-Type': 'application/json', ...(key ? { 'Idempotency-Key': key } : {}) }, body: JSON.stringify(body) });
      const data = await answer.json();
      if (answer.status < 500) return { ok: answer.ok, data };
    } catch {
      // the line is down, or what answers is not the API: try again
    }
    if (Date.now() > end) return { ok: false, data: { message: 'The server cannot be reached. Try again in a moment; your code is not lost.' } };
    await new Promise((done) => setTimeout(done, pause));
  }
}

/** The key of this attempt with this code; it outlives a reload of the page. */
function keyOf(code) {
  const name = 'use ' + code.toUpperCase().replace(/[\s-]/g, '');
  let key = sessionStorage.getItem(name);
  if (!key) sessionStorage.setItem(name, (key = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join('')));
  return key;
}

async function busy(f) {
  const buttons = document.querySelectorAll('button');
  buttons.forEach((b) => (b.disabled = true));
  await f();
  buttons.forEach((b) => (b.disabled = false));
}

const day = (s) => new Date(s * 1000).toLocaleString();

$('form').addEventListener('submit', (e) => {
  e.preventDefault();
  busy(async () => {
    const code = $('code').value.trim();
    const { ok, data } = await call('/use', { code, user: $('user').value.trim() }, keyOf(code));
    tell(ok ? `${data.campaign}: ${data.value || 'your code was accepted'}` : data.message, ok);
  });
});

$('check').addEventListener('click', () => {
  if (!$('form').reportValidity()) return;
  busy(async () => {
    const { ok, data } = await call('/query', { code: $('code').value.trim() });
    const state = { UNACTIVED: 'can be used', ACTIVED: 'was used', REVOKED: 'was revoked', TIMEINVALID: 'is outside its period' }[data.state];
    tell(ok ? `${data.campaign}: this code ${state}${data.end ? `, valid until ${day(data.end)}` : ''}` : data.message, ok && data.state === 'UNACTIVED');
  });
});

const given = new URLSearchParams(location.search).get('code');
if (given) $('code').value = given;
