// Package hub fetches models from the Hugging Face hub, or from whatever speaks its
// protocol, into the cache that Python's huggingface_hub keeps, so that neither loads
// what the other has.
//
// # Laws
//
//   - A file has the SHA-256 (LFS) or the git blob id that the hub lists for it, or
//     it is not there: what has come is hashed as it comes, and takes its name when
//     it is whole and right.
//   - A snapshot appears at once, when all its files are there. What a broken-off
//     pull has loaded stays beside it, and the next one goes on from there.
//   - The token goes to the scheme, host and port of the endpoint, nowhere else.
//   - Looking for what is installed asks nobody.
//   - Nothing is executed or unpickled, and no name from the hub leads out of the
//     cache.
//
// # The cache
//
//	models--ORG--NAME/blobs/ETAG             the bytes
//	models--ORG--NAME/blobs/ETAG.incomplete  what has come of them
//	models--ORG--NAME/snapshots/COMMIT/FILE  a link to them; a copy where links cannot be
//	models--ORG--NAME/refs/REVISION          the commit that a branch or tag is at
//	.locks/models--ORG--NAME/ETAG.lock       held by who loads them
//
// Nothing is read from the environment here: [Hub] carries what lies outside.
package hub
