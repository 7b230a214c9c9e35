// Package web serves a collection of pictures over HTTP: a search page for
// people and JSON for programs, at the same addresses.
//
// # Laws
//
//   - A handler returns its error; [Server.Handler] wraps each in serve, the only
//     place where an error becomes a status code and where one is logged.
//   - A page works without JavaScript; the script only saves clicks.
//   - Whatever a search is, its URL says: a page can be reloaded, sent and gone
//     back to. A picture that was uploaded is remembered for that, for a while.
//   - What an ID names never changes and is cached for a year; nothing else is
//     cached without asking.
//   - Files leave the server only from below [Server.Roots], and only as long as
//     they hold the bytes that their ID was made of.
package web
