// Package egress is how unmodified code in a function reaches us. Such code builds vendor addresses
// itself ("https://{instance}.cn-hangzhou.ots.aliyuncs.com"), so three things are brought to it by its
// environment: a certificate authority of our own, a forward proxy, and the list of hosts for the hook
// in our shims (variable SLUICE_EGRESS), which connects those hosts to the same proxy address.
//
// The address takes all three forms on one port: proxy requests (absolute URLs and CONNECT), TLS as if
// we were the host (a leaf certificate is made for its name), and plain HTTP as if we were the host.
// Hosts of the dialects' patterns are served by a handler in this process, hosts of apps by the public
// listener; everything else is passed on untouched.
package egress
