// One campaign: its figures, its codes, and all that can be done to them.
import { call, count, fromField, h, insist, progress, request, toField, when } from './lib.js';

const field = (label, input, hint) => h('label', { class: 'field' }, h('span', {}, label), input, hint && h('small', {}, hint));
const text = (name, attrs) => h('input', { name, ...attrs });
const select = (name, options, value) => h('select', { name }, Object.entries(options).map(([v, t]) => h('option', { value: v, selected: v === value }, t)));
const check = (name, label, checked) => h('label', { class: 'check' }, h('input', { type: 'checkbox', name, checked }), label);
const time = (name, value) => h('input', { type: 'datetime-local', name, value: toField(value ?? 0) });

/** The rules that can be changed later, as fields. */
const rules = (c) => [
  field('What a code is worth', text('value', { value: c.value ?? '', maxlength: 200, placeholder: '10% off, a month of …' }), 'Told to whoever uses one.'),
  field('Valid from', time('start', c.start)),
  field('Valid until', time('end', c.end)),
  field('Codes per user', text('perUser', { type: 'number', min: 0, value: c.perUser ?? 0 }), '0 is any number. Counted from when it is set.'),
  field('Codes in all', text('total', { type: 'number', min: 0, value: c.total ?? 0 }), '0 is any number. Counted from when it is set.'),
  check('enforce', 'Refuse codes outside their period', c.enforce ?? true),
];

function read(form) {
  const f = form.elements;
  return {
    name: f.name.value, value: f.value.value, start: fromField(f.start.value), end: fromField(f.end.value),
    perUser: Number(f.perUser.value), total: Number(f.total.value), enforce: f.enforce.checked,
  };
}

export function campaignForm(desk) {
  const key = crypto.randomUUID?.() ?? String(Math.random());
  const submit = async (e) => {
    e.preventDefault();
    const f = e.target.elements;
    try {
      const c = await call('POST', '/campaigns', { ...read(e.target), type: f.type.value, format: f.format.value, prefix: f.prefix.value }, { 'Idempotency-Key': key });
      await desk.reload();
      desk.go('#/' + c.id);
    } catch (refusal) {
      desk.fail(refusal);
    }
  };
  return h('main', {},
    h('div', { class: 'title' }, h('h2', {}, 'New campaign')),
    h('form', { class: 'card', submit },
      h('div', { class: 'grid' },
        field('Name', text('name', { required: true, maxlength: 80, placeholder: 'Summer sale' })),
        field('Type', select('type', { coupon: 'Coupon', activation: 'Activation code', gift: 'Gift' })),
        field('Codes', select('format', { short: 'Short ones, easy to type', uuid: 'UUIDs' })),
        field('Prefix', text('prefix', { maxlength: 8, placeholder: 'SUMMER' }), 'SUMMER makes SUMMER-7K3M-9QXD-2FTW. No I, L and O.'),
        rules({})),
      h('div', { class: 'row' }, h('button', { class: 'btn primary' }, 'Create campaign'))));
}

export function campaignView(c, desk) {
  const at = `/campaigns/${c.id}`;
  const tiles = h('dl', { class: 'tiles' });
  const chart = h('div', { class: 'chart', role: 'img', 'aria-label': 'Codes used on each of the last 14 days' });
  const unusedYet = h('p', { class: 'muted', hidden: true }, 'No code was used in the last 14 days.');
  const body = h('div', { class: 'stack-of' });
  let stats = { codes: 0 };
  let stopped = false;

  async function figures(exact) {
    stats = await call('GET', `${at}/statistics${exact ? '?exact=1' : ''}`);
    const unused = stats.codes - stats.used - stats.revoked;
    const tile = (name, n, hint) => h('div', { class: 'tile', title: hint ?? null }, h('dd', {}, count(Math.max(n, 0))), h('dt', {}, name));
    tiles.replaceChildren(tile('codes', stats.codes), tile('used' + (stats.codes ? ` · ${((100 * stats.used) / stats.codes).toFixed(1)}%` : ''), stats.used), tile('unused', unused), tile('revoked', stats.revoked));
    const days = Array.from({ length: 14 }, (_, i) => new Date(Date.now() - (13 - i) * 864e5).toISOString().slice(0, 10));
    const top = Math.max(1, ...days.map((d) => stats.days[d] ?? 0));
    unusedYet.hidden = days.some((d) => stats.days[d]);
    chart.replaceChildren(...days.map((d) => {
      const n = stats.days[d] ?? 0;
      return h('div', { title: `${d}: ${count(n)} used` }, n ? count(n) : '', h('i', { class: n ? '' : 'none', style: `height:${Math.round((78 * n) / top)}px` }), h('span', {}, d.slice(5).replace('-', '/')));
    }));
  }

  const tabs = {
    Codes: () => codesTab(),
    'Make codes': () => makeTab(),
    'Import & export': () => transferTab(),
    Jobs: () => jobsTab(),
    Settings: () => settingsTab(),
  };
  const bar = h('div', { class: 'tabs', role: 'tablist' }, Object.keys(tabs).map((name) => h('button', { role: 'tab', 'aria-selected': 'false', click: () => open(name) }, name)));
  function open(name) {
    for (const b of bar.children) b.setAttribute('aria-selected', String(b.textContent === name));
    body.replaceChildren(tabs[name]());
  }

  /** Carries a job on, with a bar, until it is done. Where the page goes away, the server's timer goes on. */
  async function carry(job, words) {
    const p = progress();
    running.append(p);
    const say = () => p.show(job.made, job.num || job.made, job.num ? `${words} ${count(job.made)} of ${count(job.num)}` : `${words} ${count(job.made)} codes`);
    say();
    for (let told = performance.now(); job.state === 'running' && !stopped; say()) {
      job = await insist(() => call('POST', `${at}/jobs/${job.id}/work?wait=1`));
      if (performance.now() - told > 3000) {
        told = performance.now();
        figures().catch(() => {}); // the bar tells of a line that is down
      }
    }
    p.remove();
    if (stopped) return;
    if (job.state === 'failed') desk.toast(job.error);
    else desk.toast(`Done: ${count(job.made)} codes`);
    await figures();
    open(bar.querySelector('[aria-selected=true]').textContent);
  }
  const running = h('div', { class: 'running' });
  const verbs = { generate: 'Made', revoke: 'Revoked' };

  function codesTab() {
    const state = select('state', { '': 'Any state', UNACTIVED: 'Unused', ACTIVED: 'Used', REVOKED: 'Revoked' });
    const find = text('find', { placeholder: 'Find a code …', 'aria-label': 'Find a code' });
    const rows = h('tbody');
    const more = h('button', { class: 'btn', hidden: true }, 'More');
    const empty = h('p', { class: 'empty', hidden: true }, 'No codes here. “Make codes” makes some.');
    let after = '';
    const row = (code) => {
      const acts = h('td', { class: 'end' });
      const tr = h('tr', {},
        h('td', {}, h('span', { class: 'code' }, code.code)),
        h('td', {}, h('span', { class: 'tag ' + code.state }, { UNACTIVED: 'unused', ACTIVED: 'used', REVOKED: 'revoked' }[code.state] ?? code.state)),
        h('td', { class: 'muted' }, code.user ?? ''),
        h('td', { class: 'muted' }, when(code.used)), acts);
      if (code.state === 'UNACTIVED') acts.append(h('button', { class: 'btn small', click: () => act('POST', `/codes/${code.code}/revoke`, tr, 'Revoked') }, 'Revoke'), ' ');
      acts.append(h('button', { class: 'btn small bad', click: () => confirm(`Delete ${code.code} for good?`) && act('DELETE', `/codes/${code.code}`, tr) }, 'Delete'));
      return tr;
    };
    async function act(method, path, tr, keeps) {
      try {
        const now = await call(method, path);
        if (keeps) tr.replaceWith(row(now));
        else tr.remove();
        await figures();
      } catch (e) {
        desk.fail(e);
      }
    }
    async function load(fresh) {
      if (fresh) after = '';
      let page;
      if (find.value.trim() && fresh) {
        const code = await call('GET', '/codes/' + encodeURIComponent(find.value.trim()));
        page = { codes: [code], more: false };
      } else {
        page = await call('GET', `${at}/codes?limit=50&state=${state.value}&after=${encodeURIComponent(after)}`);
      }
      if (fresh) rows.replaceChildren();
      rows.append(...page.codes.map(row));
      after = page.codes.at(-1)?.code ?? after;
      more.hidden = !page.more;
      empty.hidden = rows.childElementCount > 0;
    }
    const fresh = () => load(true).catch(desk.fail);
    state.addEventListener('change', fresh);
    more.addEventListener('click', () => load().catch(desk.fail));
    fresh();
    return h('div', { class: 'card' },
      h('form', { class: 'row', submit: (e) => (e.preventDefault(), fresh()) }, h('div', { style: 'flex:1 1 220px' }, find), h('div', { style: 'flex:0 1 170px' }, state), h('button', { class: 'btn' }, 'Find')),
      h('div', { class: 'table' }, h('table', { class: 'stack' }, h('thead', {}, h('tr', {}, ['Code', 'State', 'User', 'Used', ''].map((t) => h('th', {}, t)))), rows)), empty, more);
  }

  function makeTab() {
    let key = crypto.randomUUID?.() ?? String(Math.random());
    const submit = async (e) => {
      e.preventDefault();
      const f = e.target.elements;
      const button = e.target.querySelector('button');
      button.disabled = true;
      const order = { num: Number(f.num.value), ...(f.start.value ? { start: fromField(f.start.value) } : {}), ...(f.end.value ? { end: fromField(f.end.value) } : {}) };
      try {
        const job = await insist(() => call('POST', `${at}/generate?wait=0`, order, { 'Idempotency-Key': key }));
        key = crypto.randomUUID?.() ?? String(Math.random());
        await carry(job, 'Made');
      } catch (refusal) {
        desk.fail(refusal);
      }
      button.disabled = false;
    };
    return h('form', { class: 'card', submit },
      h('div', { class: 'grid' },
        field('How many', text('num', { type: 'number', min: 1, max: 10000000, value: 1000, required: true })),
        field('Valid from', time('start', c.start)), field('Valid until', time('end', c.end))),
      h('div', { class: 'row' }, h('button', { class: 'btn primary' }, 'Make codes'), h('span', { class: 'muted' }, 'It goes on when this page is closed.')));
  }

  function transferTab() {
    const file = h('input', { type: 'file', accept: '.csv,text/csv,text/plain', 'aria-label': 'CSV file' });
    const told = h('div');
    const importing = async (e) => {
      e.preventDefault();
      const f = file.files[0];
      if (!f) return;
      const p = progress();
      told.replaceChildren(p);
      // The file's own marks are the key: choosing it again goes on where a broken import has stopped.
      const key = `${f.name}-${f.size}-${f.lastModified}`.replace(/[^\w.-]/g, '_').slice(-60);
      const sum = { added: 0, same: 0, count: 0, refused: [] };
      try {
        let columns = null;
        let line = 1;
        let sent = 0;
        for await (const part of parts(f)) {
          if (columns === null) columns = /(^|,)\s*"?(code|uuid)"?\s*(,|\r?\n|$)/i.test(part.split('\n', 1)[0]) ? part.split('\n', 1)[0].trim().toLowerCase().replaceAll('"', '').replace('uuid', 'code').replace('status', 'state') : '';
          const query = `?line=${line}` + (line > 1 && columns ? '&columns=' + encodeURIComponent(columns) : '');
          const done = await insist(() => call('POST', `${at}/import${query}`, part, { 'Idempotency-Key': key, 'Content-Type': 'text/csv' }));
          for (const k of ['added', 'same', 'count']) sum[k] += done[k];
          sum.refused.push(...done.refused);
          line += part.split('\n').length - 1;
          sent += new Blob([part]).size;
          p.show(sent, f.size, `Imported ${count(sum.added)} codes`);
        }
        told.replaceChildren(
          h('p', { class: 'result' }, `${count(sum.added)} codes added` + (sum.same ? `, ${count(sum.same)} were there from this file` : '') + (sum.count ? `, ${count(sum.count)} ${sum.count === 1 ? 'line' : 'lines'} left out:` : '.')),
          h('ul', { class: 'muted' }, sum.refused.slice(0, 20).map((r) => h('li', {}, `Line ${r.line}: ${r.text}`))));
        await figures();
      } catch (refusal) {
        p.remove();
        desk.fail(refusal);
      }
    };
    const state = select('state', { '': 'All codes', UNACTIVED: 'Unused ones', ACTIVED: 'Used ones', REVOKED: 'Revoked ones' });
    const out = h('div');
    const exporting = async () => {
      const p = progress();
      out.replaceChildren(p);
      const whole = [];
      const all = { '': stats.codes, UNACTIVED: stats.codes - stats.used - stats.revoked, ACTIVED: stats.used, REVOKED: stats.revoked }[state.value];
      let n = 0;
      try {
        for (let after = ''; ; ) {
          const answer = await insist(() => request('GET', `${at}/export?limit=20000&state=${state.value}&after=${encodeURIComponent(after)}`));
          const part = await answer.text();
          whole.push(part);
          n += part.split('\n').length - 1 - (after ? 0 : 1);
          p.show(n, Math.max(all, n + (answer.headers.get('X-Next') ? 1 : 0)), `${count(n)} codes`);
          after = answer.headers.get('X-Next');
          if (!after) break;
        }
        const url = URL.createObjectURL(new Blob(whole, { type: 'text/csv' }));
        h('a', { href: url, download: `codes-${c.id}.csv` }).click();
        setTimeout(() => URL.revokeObjectURL(url), 60_000);
        out.replaceChildren(h('p', { class: 'result' }, `${count(n)} codes exported.`));
      } catch (refusal) {
        p.remove();
        desk.fail(refusal);
      }
    };
    return h('div', { class: 'grid', style: 'grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr))' },
      h('form', { class: 'card', submit: importing },
        h('h3', {}, 'Import'),
        h('p', { class: 'muted' }, 'CSV, a code a line. With a first line that names them, also the columns state, start, end, user and used. Lines with mistakes are left out and told.'),
        file, h('div', { class: 'row' }, h('button', { class: 'btn primary' }, 'Import')), told),
      h('div', { class: 'card' },
        h('h3', {}, 'Export'), h('p', { class: 'muted' }, 'CSV with code, state, period, user and time of use. An export can be imported again.'),
        state, h('div', { class: 'row' }, h('button', { class: 'btn primary', click: exporting }, 'Export')), out));
  }

  function jobsTab() {
    const rows = h('tbody');
    const empty = h('p', { class: 'empty', hidden: true }, 'Nothing was made, imported or revoked yet.');
    const load = async () => {
      const { jobs } = await call('GET', `${at}/jobs`);
      empty.hidden = jobs.length > 0;
      rows.replaceChildren(...jobs.slice(0, 200).map((j) => h('tr', {},
        h('td', {}, h('b', {}, { generate: 'Codes made', import: 'Import', revoke: 'Revocation' }[j.kind]), ' ', h('span', { class: 'code muted' }, j.id)),
        h('td', {}, h('span', { class: 'tag ' + j.state }, j.state)),
        h('td', {}, count(j.made) + (j.num && j.made < j.num ? ` of ${count(j.num)}` : '')),
        h('td', { class: 'muted' }, when(j.created)), h('td', { class: 'muted' }, j.by),
        h('td', { class: 'end' }, j.kind === 'revoke' || !j.made ? null : h('button', { class: 'btn small bad', click: () => revokeAll(j.id, `Revoke the unused codes of job ${j.id}?`) }, 'Revoke')))));
    };
    load().catch(desk.fail);
    return h('div', { class: 'card' }, h('div', { class: 'table' }, h('table', { class: 'stack' }, h('thead', {}, h('tr', {}, ['Job', 'State', 'Codes', 'Begun', 'By', ''].map((t) => h('th', {}, t)))), rows)), empty);
  }

  async function revokeAll(batch, question) {
    if (!confirm(question)) return;
    try {
      await carry(await call('POST', `${at}/revoke?wait=0`, batch ? { batch } : {}), 'Revoked');
    } catch (refusal) {
      desk.fail(refusal);
    }
  }

  async function change(what) {
    try {
      await call('PATCH', at, what);
      desk.toast('Saved');
      await desk.reload();
    } catch (refusal) {
      desk.fail(refusal);
    }
  }

  function settingsTab() {
    return h('div', { class: 'stack-of' },
      h('form', { class: 'card', submit: (e) => (e.preventDefault(), change(read(e.target))) },
        h('div', { class: 'grid' }, field('Name', text('name', { value: c.name, required: true, maxlength: 80 })), rules(c)),
        h('div', { class: 'row' }, h('button', { class: 'btn primary' }, 'Save'), h('span', { class: 'muted' }, 'A period here is for codes made from now on; codes keep theirs.'))),
      h('div', { class: 'card' },
        h('div', { class: 'row' },
          h('button', { class: 'btn', click: () => figures(true).then(() => desk.toast('Counted'), desk.fail) }, 'Count all codes again'),
          h('button', { class: 'btn', click: () => change({ archived: !c.archived }) }, c.archived ? 'Bring back' : 'Archive'),
          h('button', { class: 'btn bad', click: () => revokeAll('', 'Revoke every unused code of this campaign?') }, 'Revoke all unused codes'))));
  }

  open('Codes');
  figures().catch(desk.fail);
  call('GET', `${at}/jobs`).then(({ jobs }) => {
    for (const j of jobs) if (j.state === 'running' && j.kind !== 'import') carry(j, verbs[j.kind]).catch(desk.fail);
  }, () => {});

  const view = h('main', {},
    h('div', { class: 'title' },
      h('h2', {}, c.name), h('span', { class: 'tag' }, c.type), c.paused ? h('span', { class: 'tag paused' }, 'paused') : null, c.archived ? h('span', { class: 'tag paused' }, 'archived') : null,
      h('div', { class: 'row' }, h('button', { class: 'btn', click: () => change({ paused: !c.paused }) }, c.paused ? 'Resume' : 'Pause'))),
    c.value ? h('p', { class: 'muted' }, c.value) : null,
    tiles, running,
    h('div', { class: 'card' }, h('h3', {}, 'Used, by day'), unusedYet, chart),
    bar, body);
  view.stop = () => (stopped = true);
  return view;
}

/** The lines of a file, some thousands at a time, each part ending with a line's end. */
async function* parts(file) {
  const reader = file.stream().pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    rest += value ?? '';
    const cut = done ? rest.length : rest.length > 200_000 ? rest.lastIndexOf('\n') + 1 : 0;
    if (cut) yield rest.slice(0, cut);
    rest = rest.slice(cut);
    if (done) return;
  }
}
