// The administration of codes: campaigns at the left, one of them or the audit trail at the right.
import { campaignForm, campaignView } from './campaign.js';
import { call, h, request, when } from './lib.js';

const app = document.getElementById('app');
let campaigns = [];

/** What the views may ask of the page. */
const desk = { toast, fail, reload, go };

function toast(text) {
  document.querySelector('.toast')?.remove();
  const e = h('p', { class: 'toast', role: 'status' }, text);
  document.body.append(e);
  setTimeout(() => e.remove(), 3500);
}

function fail(e) {
  if (e.code === 'unauthorized') return login();
  toast(e.message);
}

function go(hash) {
  if (location.hash === hash) show();
  else location.hash = hash;
}

function login() {
  const password = h('input', { id: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const error = h('p', { class: 'error', role: 'alert', hidden: true });
  const button = h('button', { class: 'btn primary' }, 'Log in');
  const submit = async (e) => {
    e.preventDefault();
    button.disabled = true;
    try {
      await call('POST', '/login', { password: password.value });
      await reload();
    } catch (refusal) {
      error.hidden = false;
      error.textContent = refusal.message;
      password.select();
    }
    button.disabled = false;
  };
  app.replaceChildren(
    h('div', { class: 'login' },
      h('form', { class: 'card', submit },
        h('i', { class: 'mark', 'aria-hidden': 'true' }),
        h('h2', {}, 'Codes'),
        h('label', { class: 'field' }, h('span', {}, 'Administrator’s password'), password),
        error, button,
        h('p', { class: 'muted' }, 'When none was given, the log of the function api shows the one that was made.'))));
  password.focus();
}

async function reload() {
  campaigns = (await call('GET', '/campaigns')).campaigns;
  show();
}

function side(current) {
  const link = (c) =>
    h('a', { href: `#/${c.id}`, class: c.id === current ? 'on' : '' },
      h('b', {}, c.name),
      c.paused || c.archived ? h('span', { class: 'tag paused' }, c.archived ? 'archived' : 'paused') : null,
      h('small', {}, c.type));
  const open = campaigns.filter((c) => !c.archived || c.id === current);
  return h('nav', { class: 'side', 'aria-label': 'Campaigns' }, h('button', { class: 'btn primary new', click: () => go('#/new') }, 'New campaign'), open.map(link));
}

let shown; // the view at the right, told to stop when another comes

function show() {
  shown?.stop?.();
  const id = location.hash.slice(2);
  let view;
  const campaign = campaigns.find((c) => c.id === id) ?? (id ? null : campaigns[0]);
  if (id === 'audit') view = audit();
  else if (id === 'new' || !campaign) view = campaignForm(desk);
  else view = campaignView(campaign, desk);
  shown = view;
  app.replaceChildren(
    h('div', { class: 'desk' },
      h('header', { class: 'top' },
        h('h1', {}, h('i', { class: 'mark small', 'aria-hidden': 'true' }), 'Codes'),
        h('button', { class: 'btn small', click: () => go('#/audit') }, 'Audit trail'),
        h('button', { class: 'btn small', click: () => request('POST', '/logout').then(login, fail) }, 'Log out')),
      side(campaign && id !== 'new' ? campaign.id : ''),
      view));
}

function audit() {
  const rows = h('tbody');
  const more = h('button', { class: 'btn', hidden: true, click: () => load().catch(fail) }, 'Older');
  let before = 0;
  async function load() {
    const { audit } = await call('GET', `/audit?before=${before}`);
    for (const d of audit) {
      rows.append(h('tr', {}, h('td', {}, h('b', {}, d.action)), h('td', { class: 'muted' }, when(d.at)), h('td', {}, d.actor), h('td', { class: 'code' }, d.target), h('td', { class: 'muted' }, d.detail)));
      before = d.id;
    }
    more.hidden = audit.length < 100;
  }
  load().catch(fail);
  return h('main', {},
    h('div', { class: 'title' }, h('h2', {}, 'Audit trail')),
    h('div', { class: 'card' },
      h('div', { class: 'table' }, h('table', { class: 'stack' }, h('thead', {}, h('tr', {}, ['What', 'When', 'Who', 'On', 'Details'].map((t) => h('th', {}, t)))), rows)), more));
}

addEventListener('hashchange', () => campaigns.length && show());
reload().catch(fail);
