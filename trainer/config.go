package trainer

// Config is all that decides what a run computes, but for the data, the program and
// the machine. It is read from a JSON file (see [ReadConfig]) and printed into every
// checkpoint. The tags are its documentation: `doc` says what a key is for, `range` or
// `of` what it may be; [Keys] lists them, with the defaults of [Defaults].
type Config struct {
	Name string `json:"name" doc:"what the model is called; empty: the name of the folder it is written to"`
	Init string `json:"init" doc:"the model that is trained on, a NAME or DIR; empty: a new network, as model says"`
	Seed int64  `json:"seed" doc:"of the first weights, of the order of pairs, of augmentation and dropout" range:"0..9007199254740991"`

	Model   ModelConfig   `json:"model"`
	Compose ComposeConfig `json:"compose"`
	Train   TrainConfig   `json:"train"`
	Data    DataConfig    `json:"data"`
	Prompts PromptsConfig `json:"prompts"`
	Augment AugmentConfig `json:"augment"`
	Loss    LossConfig    `json:"loss"`
	Optim   OptimConfig   `json:"optim"`
	Compute ComputeConfig `json:"compute"`
	Run     RunConfig     `json:"run"`
}

// ModelConfig is a network that is trained from scratch: the small CLIP of a vision
// transformer and a text transformer.
type ModelConfig struct {
	Image       string `json:"image" doc:"the image tower: a transformer whose patches are cut from the pixels, or made by four convolutions" of:"vit|conv"`
	ImageSize   int    `json:"image_size" doc:"pixels of a side of what the model sees; a multiple of patch" range:"8..1024"`
	Patch       int    `json:"patch" doc:"pixels of a side of a patch" range:"1..128"`
	ImageWidth  int    `json:"image_width" doc:"numbers of a token of the image tower; a multiple of image_heads" range:"8..8192"`
	ImageLayers int    `json:"image_layers" doc:"blocks of the image tower" range:"1..128"`
	ImageHeads  int    `json:"image_heads" doc:"attention heads of the image tower" range:"1..256"`
	TextWidth   int    `json:"text_width" doc:"numbers of a token of the text tower; a multiple of text_heads" range:"8..8192"`
	TextLayers  int    `json:"text_layers" doc:"blocks of the text tower" range:"1..128"`
	TextHeads   int    `json:"text_heads" doc:"attention heads of the text tower" range:"1..256"`
	Context     int    `json:"context_length" doc:"ids of a text at most, begin and end included; longer ones are cut" range:"4..1024"`
	Vocabulary  int    `json:"vocabulary" doc:"entries of the tokenizer that is made of the captions, at most; they may give fewer" range:"520..1000000"`
	Dim         int    `json:"dim" doc:"numbers of an embedding" range:"2..8192"`
	Activation  string `json:"activation" doc:"of the blocks" of:"quick_gelu|gelu"`
}

// TrainConfig says which weights change.
type TrainConfig struct {
	Image     Selection `json:"image" doc:"weights of the image tower that are trained: all, none, last:N (its last N blocks and the head), or a list of name patterns such as [\"*.mlp.*\"]"`
	Text      Selection `json:"text" doc:"the same of the text tower"`
	LockImage bool      `json:"lock_image" doc:"LiT: the image tower of init stays as it is, its features are computed once and kept on disk; the text tower and new heads are trained"`
	NewText   bool      `json:"new_text" doc:"take a new text tower, as model says, in place of the one of init"`
	ImageFrom string    `json:"image_from" doc:"the inner value of init's image tower where training begins: what makes it is computed once for each view of a picture, and kept on disk; empty: the pixels"`
	TextFrom  string    `json:"text_from" doc:"the same of the text tower, one row a text: what makes it is computed once for each text"`
	Head      int       `json:"head" doc:"put a new linear layer with so many outputs on each tower of init; 0: none, unless the towers need one" range:"0..8192"`
}

// DataConfig says which pairs are drawn.
type DataConfig struct {
	Batch        int     `json:"batch" doc:"pairs of a step, each of another picture; fewer where the set has fewer pictures" range:"2..1048576"`
	Split        string  `json:"train_split" doc:"the split that is trained on, where the data have splits (restval is part of train)" of:"train|val|test|all"`
	Val          string  `json:"val_split" doc:"the split that is validated on; none: nothing is" of:"train|val|test|all|none"`
	HoldOut      float64 `json:"hold_out" doc:"share of the training pictures that are kept for validation, where there is no such split" range:"0..0.9"`
	Missing      bool    `json:"allow_missing" doc:"leave out pictures that are not there or have no caption"`
	CacheMB      int     `json:"cache_mb" doc:"megabytes of shrunken pictures that are kept on disk, so that they need not be decoded again; 0: none" range:"0..1048576" resume:"free"`
	FeatureCache string  `json:"feature_cache" doc:"with a locked image tower or train.image_from: the folder that the features are kept in, for other runs too; empty: in the run's own, until it ends" resume:"free"`
	Tokens       int     `json:"tokens" doc:"ids of a text at most while it is trained on, which saves the time that the few longest of a batch cost all; 0: as many as the model reads" range:"0..65536"`
	Views        int     `json:"views" doc:"with a locked image tower or train.image_from: views of a picture whose features are kept; the first is the picture as it is, the others are varied" range:"1..64"`
	ViewSeed     int64   `json:"view_seed" doc:"of how they are varied" range:"0..9007199254740991"`
}

// AugmentConfig says how pictures are varied.
type AugmentConfig struct {
	CropMin    float64 `json:"crop_min" doc:"least share of the area that a random crop keeps; 1: no crops" range:"0.01..1"`
	CropRatio  float64 `json:"crop_ratio" doc:"a crop's width by height is between 1/this and this" range:"1..4"`
	Flip       float64 `json:"flip" doc:"share of pictures that are mirrored" range:"0..1"`
	KeepSides  bool    `json:"keep_sides" doc:"do not mirror a picture with a caption that says left or right"`
	Brightness float64 `json:"brightness" doc:"brightness changes by up to this share" range:"0..1"`
	Contrast   float64 `json:"contrast" doc:"contrast changes by up to this share" range:"0..1"`
	Saturation float64 `json:"saturation" doc:"saturation changes by up to this share" range:"0..1"`
	Hue        float64 `json:"hue" doc:"the hue turns by up to this share of a circle" range:"0..0.5"`
	Gray       float64 `json:"gray" doc:"share of pictures that lose their colour" range:"0..1"`
}

// LossConfig is what is made small.
type LossConfig struct {
	Kind          string  `json:"kind" doc:"symmetric InfoNCE (CLIP), SigLIP's sigmoid loss, or InfoLOOB (CLOOB)" of:"infonce|siglip|infoloob"`
	LogitScale    float64 `json:"logit_scale" doc:"factor on cosines at the start; 0: that of init, or the loss's usual one (1/0.07; 10 for siglip)" range:"0..1000"`
	LogitScaleMax float64 `json:"logit_scale_max" doc:"and at most" range:"1..10000"`
	LogitBias     float64 `json:"logit_bias" doc:"siglip: added to them at the start" range:"-1000..1000"`
	LearnScale    bool    `json:"learn_scale" doc:"train the factor, and siglip's bias"`
}

// OptimConfig is AdamW with decoupled decay, and its schedule.
type OptimConfig struct {
	Steps       int       `json:"steps" doc:"updates" range:"1..100000000"`
	Rate        float64   `json:"lr" doc:"learning rate after the warm-up; 0: 1e-3 for a new network or with a locked tower, 1e-5 for a model that is trained on" range:"0..1000000"`
	Floor       float64   `json:"lr_floor" doc:"share of it that is left at the end of the cosine" range:"0..1"`
	Constant    bool      `json:"constant" doc:"no cosine: the rate stays after the warm-up"`
	Warmup      int       `json:"warmup" doc:"steps over which the rate rises; a tenth of all at most" range:"0..100000000"`
	Beta1       float64   `json:"beta1" doc:"decay of the mean of gradients" range:"0.001..0.99999"`
	Beta2       float64   `json:"beta2" doc:"decay of the mean of their squares" range:"0.001..0.99999999"`
	Epsilon     float64   `json:"eps" doc:"added to their root" range:"1e-12..1"`
	Decay       float64   `json:"weight_decay" doc:"decoupled decay of matrices; vectors have none" range:"0..10"`
	ImageFactor float64   `json:"image_lr_factor" doc:"the rate of the image tower is lr times this" range:"0..1000"`
	TextFactor  float64   `json:"text_lr_factor" doc:"the rate of the text tower is lr times this" range:"0..1000"`
	Slow        Selection `json:"slow" doc:"weights whose rate is lower: none, or a list of name patterns; image/ or text/ comes before a weight's name"`
	SlowFactor  float64   `json:"slow_factor" doc:"their rate is times this, too" range:"0..1000"`
	ClipNorm    float64   `json:"clip_norm" doc:"gradients whose global norm is larger are scaled down to it; 0: never" range:"0..1000000"`
	EMA         float64   `json:"ema" doc:"decay of a running mean of the weights, which is validated and exported; 0: none" range:"0..0.9999999"`
	InGraph     bool      `json:"in_graph" doc:"update the weights by a graph, on what --provider names, and not in Go on the processor, where that is quicker"`
}

// ComputeConfig says how a step is computed. It decides times, memory, and the last
// digits of the losses.
type ComputeConfig struct {
	Chunk     int  `json:"chunk" doc:"pairs that pass the towers at once; 0: as many as are quickest" range:"0..65536"`
	GradCache bool `json:"grad_cache" doc:"embed, then the loss, then each chunk's gradient: memory does not grow with the batch, for a third more time"`
}

// RunConfig says what is kept and told. What is marked free may change when a run is
// resumed: it changes nothing that is computed.
type RunConfig struct {
	CheckpointEvery int     `json:"checkpoint_every" doc:"steps between two checkpoints" range:"1..1000000" resume:"free"`
	CheckpointLoad  float64 `json:"checkpoint_load" doc:"share of the time that checkpoints may take: larger models are kept less often, but at least every 60 s; 1: it does not matter" range:"0.001..1" resume:"free"`
	Report          bool    `json:"report" doc:"write report.html and MODEL_CARD.md" resume:"free"`
	KeepCheckpoints bool    `json:"keep_checkpoints" doc:"keep the checkpoints when the run has ended" resume:"free"`
	ValidateEvery   int     `json:"validate_every" doc:"steps between two validations; there is one at the end, too; 0: only there" range:"0..1000000"`
	ValidateLimit   int     `json:"validate_limit" doc:"pictures of the split that are validated on, at most; 0: all" range:"0..10000000"`
	Best            string  `json:"best" doc:"which validated weights are exported: by this figure, or the last" of:"mean_recall|text_to_image_recall@1|image_to_text_recall@1|last"`
	DivergedAfter   int     `json:"diverged_after" doc:"the run ends when the loss has been far above its best for so many steps; 0: never" range:"0..1000000"`
	Precision       string  `json:"precision" doc:"of the exported model" of:"fp32|int8"`
}

// Complete fills in what depends on other keys.
func (c Config) Complete() Config {
	switch {
	case c.Optim.Rate > 0:
	case c.Init != "" && !c.Train.LockImage:
		c.Optim.Rate = 1e-5
	default:
		c.Optim.Rate = 1e-3
	}
	return c
}

// Defaults returns the configuration of the small CLIP from scratch.
func Defaults() Config {
	return Config{
		Seed: 1,
		Model: ModelConfig{
			Image: "vit", ImageSize: 96, Patch: 12, ImageWidth: 256, ImageLayers: 6, ImageHeads: 4,
			TextWidth: 192, TextLayers: 4, TextHeads: 3, Context: 32, Vocabulary: 49408, Dim: 256, Activation: "quick_gelu",
		},
		Compose: defaultCompose(),
		Prompts: defaultPrompts(),
		Train:   TrainConfig{Image: Selection{"all"}, Text: Selection{"all"}},
		Data:    DataConfig{Batch: 128, Split: "train", Val: "val", CacheMB: 4096, Views: 4},
		Augment: AugmentConfig{CropMin: 0.5, CropRatio: 4.0 / 3, Flip: 0.5, KeepSides: true, Brightness: 0.2, Contrast: 0.2, Saturation: 0.2},
		Loss:    LossConfig{Kind: "infonce", LogitScaleMax: 100, LogitBias: -10, LearnScale: true},
		Optim:   OptimConfig{Steps: 1500, Warmup: 100, Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-6, Decay: 0.1, ImageFactor: 1, TextFactor: 1, Slow: Selection{"none"}, SlowFactor: 0.1, ClipNorm: 1},
		Run: RunConfig{
			CheckpointEvery: 10, CheckpointLoad: 0.05, Report: true, ValidateEvery: 100, ValidateLimit: 1000,
			Best: "mean_recall", DivergedAfter: 200, Precision: "fp32",
		},
	}
}
