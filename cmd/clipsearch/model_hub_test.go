package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// TestHubSettings reads the environment as Python's huggingface_hub does (its
// constants HF_HUB_CACHE and HF_HUB_OFFLINE, and get_token, say the same).
func TestHubSettings(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the paths are unix's")
	}
	home := t.TempDir()
	for name, token := range map[string]string{".cache/huggingface/token": "hf_file\n", "elsewhere/token": "hf_else", "here": " hf_here "} {
		name = filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	usual := home + "/.cache/huggingface/hub"
	for _, tt := range []struct {
		env     map[string]string
		cache   string
		token   string
		offline bool
	}{
		{nil, usual, "hf_file", false},
		{map[string]string{"HF_TOKEN": " hf_env\n"}, usual, "hf_env", false},
		{map[string]string{"HUGGING_FACE_HUB_TOKEN": "hf_old"}, usual, "hf_old", false},
		{map[string]string{"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, usual, "", false},
		{map[string]string{"XDG_CACHE_HOME": "/xdg"}, "/xdg/huggingface/hub", "", false},
		{map[string]string{"HF_HOME": "~/elsewhere"}, home + "/elsewhere/hub", "hf_else", false},
		{map[string]string{"HF_HOME": "$HOME/elsewhere", "HF_TOKEN_PATH": "~/here"}, home + "/elsewhere/hub", "hf_here", false},
		{map[string]string{"HF_HOME": "/none", "HF_HUB_CACHE": "/cache", "HUGGINGFACE_HUB_CACHE": "/old"}, "/cache", "", false},
		{map[string]string{"HUGGINGFACE_HUB_CACHE": "~/old"}, home + "/old", "hf_file", false},
		{map[string]string{"HF_HUB_OFFLINE": "1"}, usual, "hf_file", true},
		{map[string]string{"HF_HUB_OFFLINE": "yes"}, usual, "hf_file", true},
		{map[string]string{"TRANSFORMERS_OFFLINE": "ON"}, usual, "hf_file", true},
		{map[string]string{"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"}, usual, "hf_file", false},
	} {
		a := &app{world: world{getenv: func(key string) string {
			if key == "HOME" {
				return home
			}
			return tt.env[key]
		}}}
		h, err := a.newHub()
		if err != nil || h.Cache != tt.cache || h.Token != tt.token || h.Offline != tt.offline {
			t.Errorf("with %v: cache %q, token %q, offline %t, %v; want %q, %q, %t", tt.env, h.Cache, h.Token, h.Offline, err, tt.cache, tt.token, tt.offline)
		}
	}
	for value, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "soon": -1, "0": -1} {
		a := &app{world: world{getenv: func(key string) string { return map[string]string{"HF_HUB_DOWNLOAD_TIMEOUT": value}[key] }}}
		h, err := a.newHub()
		if (err != nil) != (want < 0) || err == nil && h.Patience != want {
			t.Errorf("HF_HUB_DOWNLOAD_TIMEOUT=%q: %v, %v", value, h, err)
		}
	}
}

// TestSourceOf reads names of the registry and of the hub.
func TestSourceOf(t *testing.T) {
	for _, tt := range []struct{ name, repo, known string }{
		{"clip-vit-b-32", "Xenova/clip-vit-base-patch32@d15189d7028b43f1d3e65039190477f6af591c2a", "clip-vit-b-32"},
		{"clip-vit-b-32@main", "Xenova/clip-vit-base-patch32@main", "clip-vit-b-32"},
		{"Xenova/clip-vit-base-patch32", "Xenova/clip-vit-base-patch32", "clip-vit-b-32"},
		{"mobileclip2-s2", "plhery/mobileclip2-onnx", "mobileclip2-s2"},
		{"plhery/mobileclip2-onnx", "plhery/mobileclip2-onnx", ""},
		{"org/name@v1", "org/name@v1", ""},
		{"no-such-name", "", ""},
		{"./here", "", ""},
		{"/etc/passwd", "", ""},
	} {
		s, err := sourceOf(tt.name)
		if (err != nil) != (tt.repo == "") || err == nil && (s.repo.String() != tt.repo || s.known.Name != tt.known) {
			t.Errorf("sourceOf(%q) = %s (%s), %v, want %s (%s)", tt.name, s.repo, s.known.Name, err, tt.repo, tt.known)
		}
	}
	s, err := sourceOf("mobileclip2-s2")
	if got, want := s.dir("snapshot"), filepath.Join("snapshot", "onnx", "s2"); err != nil || got != want {
		t.Errorf("its directory is %s, %v, want %s", got, err, want)
	}
}
