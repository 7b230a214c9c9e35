package runtime

// Version is the version that Install prefers. Where a source has no such
// release it has a pin of another one.
const Version = "1.32.0"

// pin is a library as one source has it for one platform.
type pin struct {
	version string
	// pattern is a path.Match pattern of the library in the archive.
	pattern string
	sha256  string
}

// pins are the libraries known by source and platform (GOOS-GOARCH).
//
// The digests of pip and npm were taken on 2026-11-23 from the packages
// themselves: `pip download --no-deps --platform … onnxruntime==1.32.0` and
// `npm pack onnxruntime-node@1.30.0`, the newest there, then sha256sum of the file
// inside. The wheels of cp311 and cp312 hold the same library. PyPI has no wheel
// for darwin-amd64, and npm no library.
//
// The digests of the release are those of the libraries in the official archives
// of 1.30.0; those of 1.32.0, and of the windows-arm64 library, could not be had.
// They were not taken from the archives themselves but from what other public
// projects pin: three or more for each library, which agree. One that was wrong
// could do no more than have the source passed over. pip's and npm's libraries of
// 1.30.0 are other builds, with digests of their own; their vectors were those of
// 1.32.0 bit for bit, of ten pictures and three texts.
var pins = map[string]map[string]pin{
	"release": {
		"linux-amd64":   {"1.30.0", "onnxruntime-linux-x64-*/lib/libonnxruntime.so.1.30.0", "245a6f8c38127551057a1cd1ffd59f0a186a227ade4f3492dea2494eb565542e"},
		"linux-arm64":   {"1.30.0", "onnxruntime-linux-aarch64-*/lib/libonnxruntime.so.1.30.0", "64e903a43a041240fd6bcffe0ac6d4fea47ef87bf24b9d097801bd00a9612a4b"},
		"darwin-arm64":  {"1.30.0", "onnxruntime-osx-arm64-*/lib/libonnxruntime.1.30.0.dylib", "bcc9110f9d638a119de2db7afb3ba9a1da8085f0cb3401e1c48ae1caf450b6fa"},
		"windows-amd64": {"1.30.0", "onnxruntime-win-x64-*/lib/onnxruntime.dll", "7e39e2bdbba836d98071ef28620735ba36a47c554cf794585269aecc50fab0da"},
	},
	"pip": {
		"linux-amd64":   {Version, "onnxruntime/capi/libonnxruntime.so.*", "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f"},
		"linux-arm64":   {Version, "onnxruntime/capi/libonnxruntime.so.*", "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a"},
		"darwin-arm64":  {Version, "onnxruntime/capi/libonnxruntime.*.dylib", "fa585fabbea65b823b9a8f7e27d46aee3989d1be7e36b528203d3a1fd613aae7"},
		"windows-amd64": {Version, "onnxruntime/capi/onnxruntime.dll", "443c0065fcdba17618ddef05050308f4b471893c5c7da0337d6957c9073ad8a7"},
		"windows-arm64": {Version, "onnxruntime/capi/onnxruntime.dll", "a5c1951a7d495fa0c22a0865fe36981fe67f9d5dc7ba3893c20fa7266dd1e994"},
	},
	"npm": {
		"linux-amd64":   {"1.30.0", "package/bin/napi-v*/linux/x64/libonnxruntime.so.1", "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23"},
		"linux-arm64":   {"1.30.0", "package/bin/napi-v*/linux/arm64/libonnxruntime.so.1", "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76"},
		"darwin-arm64":  {"1.30.0", "package/bin/napi-v*/darwin/arm64/libonnxruntime.1.dylib", "685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d"},
		"windows-amd64": {"1.30.0", "package/bin/napi-v*/win32/x64/onnxruntime.dll", "508c362f5673483dd3a086379c392795b2e42d10d5e6f3f90ebd7ac21c97af67"},
		"windows-arm64": {"1.30.0", "package/bin/napi-v*/win32/arm64/onnxruntime.dll", "6c3a2abf5c6aca11c48a0d338a91af309f2266f25ce2e4084e6a87bbcb0fbfd0"},
	},
}

// wheelPlatforms name PyPI's tags, so that the wheel does not depend on the
// Python that happens to be there.
var wheelPlatforms = map[string]string{
	"linux-amd64": "manylinux_2_28_x86_64", "linux-arm64": "manylinux_2_28_aarch64",
	"darwin-arm64": "macosx_14_0_arm64", "windows-amd64": "win_amd64", "windows-arm64": "win_arm64",
}

// releaseArchives name the assets of the official release.
var releaseArchives = map[string]string{
	"linux-amd64": "onnxruntime-linux-x64-%s.tgz", "linux-arm64": "onnxruntime-linux-aarch64-%s.tgz",
	"darwin-arm64": "onnxruntime-osx-arm64-%s.tgz", "windows-amd64": "onnxruntime-win-x64-%s.zip", "windows-arm64": "onnxruntime-win-arm64-%s.zip",
}
