// Package egress is how unmodified code in a function reaches us. Such code builds vendor addresses
// itself ("https://{instance}.cn-hangzhou.ots.aliyuncs.com"), so three things are brought to it by its
// environment: a certificate authority of our own, a forward proxy, and the list of hosts for the hook
// in our shims (variable SLUICE_EGRESS), which connects those hosts to us.
//
// The address takes all three forms on one port: proxy requests (absolute URLs and CONNECT), TLS as if
// we were the host (a leaf certificate is made for its name), and plain HTTP as if we were the host.
// A second port takes HTTPS with the TLS left out: a hook that sees that its program has no wishes of its
// own for TLS spares both sides a handshake, and handlers see a request over TLS all the same.
//
// Requests for the dialects' hosts and for apps' are served by handlers in this process; what upgrades a
// connection goes on to the public listener; everything else is passed on untouched.
//
// A connection is read before net/http gets it (internal/whole): pushes and requests for the clouds' tables and functions,
// which functions send most, are answered there.
package egress
