// Who may know whom, as data: the table of docs/project/architecture.md. A folder that is not here may not exist.

export interface FolderRule {
  /** Other folders it may import from; its own always. */
  readonly knows: readonly string[];
  /** Of these, only types: they cost nothing when the program runs. */
  readonly typesOnly?: readonly string[];
  /** Why no more than these. */
  readonly because: string;
}

export const FOLDERS: Readonly<Record<string, FolderRule>> = {
  runtime: { knows: [], because: "everything stands on runtime, so runtime stands on nothing" },
  secrets: { knows: ["runtime"], because: "where a secret is kept has nothing to do with what it opens" },
  config: {
    knows: ["runtime", "secrets"],
    because: "a configuration says what people want, and never how it is done or what is the case",
  },
  network: { knows: ["runtime"], because: "hosts and interfaces are the same whoever asks about them" },
  reconcile: { knows: ["runtime"], because: "loops, triggers and memory serve shares and backends alike" },
  sync: {
    knows: ["runtime", "secrets", "config", "network", "reconcile"],
    because: "watching the configuration must work without shares or a gateway",
  },
  "mount-program": {
    knows: ["runtime"],
    because: "finding the program that mounts, and taking one in, needs nothing of what it is used for",
  },
  shares: {
    knows: ["runtime", "mount-program", "secrets", "config", "network", "reconcile"],
    because: "shares run alone; what the gateway needs of them goes through daemon, as plain data",
  },
  gateway: {
    knows: ["runtime", "secrets", "config", "network", "reconcile"],
    because: "the gateway runs alone; what it needs of shares comes through daemon, as plain data",
  },
  api: {
    knows: ["runtime", "config"],
    typesOnly: ["config"],
    because:
      "the contract is spoken by faces that hold no engine; the server serves an interface, not the engine",
  },
  fleet: {
    knows: ["runtime", "secrets", "config", "api"],
    because: "it tells others what the management API tells, and serves a daemon that hands it all it needs",
  },
  daemon: {
    knows: [
      "runtime",
      "secrets",
      "config",
      "network",
      "reconcile",
      "sync",
      "mount-program",
      "shares",
      "gateway",
      "api",
      "fleet",
      "registry",
      "clients",
    ],
    because: "the daemon wires the parts together, and serves any face without knowing one",
  },
  doctor: {
    knows: [
      "runtime",
      "mount-program",
      "secrets",
      "config",
      "network",
      "reconcile",
      "shares",
      "gateway",
      "api",
      "daemon",
    ],
    because: "a check asks the parts that the daemon is made of, put together as the daemon does it",
  },
  "mcp-bridge": {
    knows: ["runtime", "api"],
    because: "it passes a client's lines on to a daemon, and outlives that daemon",
  },
  demo: {
    knows: ["runtime", "mount-program", "api", "tui"],
    because:
      "the demo runs the program from outside, as a person would, asks the daemon as any face does, and shows it in the live view",
  },
  clients: {
    knows: ["runtime", "config", "registry"],
    because:
      "what other programs write down is read and written as they do it; what runs here is nothing to it",
  },
  registry: {
    knows: ["runtime", "config"],
    because: "what others publish is read by its own rules, and becomes a backend's texts",
  },
  cli: {
    // daemon and the folders behind it: as `LAZY_FOLDERS` says. config: where the home and its file are, before anything runs.
    knows: [
      "runtime",
      "config",
      "clients",
      "mount-program",
      "registry",
      "api",
      "daemon",
      "doctor",
      "mcp-bridge",
      "demo",
      "fleet",
      "tui",
      "menubar",
      "web",
    ],
    because: "a face shows and asks over the management API, and holds no engine logic of its own",
  },
  tui: { knows: ["runtime", "config", "api"], because: "a face shows and asks over the management API" },
  menubar: { knows: ["runtime", "config", "api"], because: "a face shows and asks over the management API" },
  web: { knows: ["runtime", "config", "api"], because: "a face shows and asks over the management API" },
};

/** The only files outside of these folders that load them, and only by `import()`, or from a folder that is loaded so. */
export const LAZY_FOLDERS: Readonly<Record<string, RegExp>> = {
  daemon: /^src\/(cli\/in-process|doctor)\/[^/]+\.ts$/,
  fleet: /^src\/(daemon\/fleet-part|daemon\/conditions\/condition-rows|cli\/commands\/fleet)\.ts$/,
  doctor: /^src\/cli\/in-process\/open\.ts$/,
  "mcp-bridge": /^src\/cli\/commands\/clients\.ts$/,
  demo: /^src\/cli\/commands\/demo\.ts$/,
  tui: /^src\/(cli\/commands\/tui|demo\/live\/[^/]+)\.ts$/,
  menubar: /^src\/cli\/commands\/tui\.ts$/,
  web: /^src\/cli\/in-process\/run-monitor\.ts$/,
};

/** Each library's only folders: whoever wants to replace it looks there, and nowhere else. */
export const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  // shares calls macOS's libraries through network/foreign-library.ts.
  koffi: ["network"],
  "smol-toml": ["config"],
  "jsonc-parser": ["clients"],
  yauzl: ["clients"],
  diff: ["config"],
  "toml-eslint-parser": ["config"],
  yaml: ["config"],
  jose: ["gateway"],
  minisearch: ["gateway"],
  "quickjs-wasi": ["gateway"],
  commander: ["cli"],
  oauth4webapi: ["gateway"],
  "@nats-io/jetstream": ["fleet"],
  "@nats-io/kv": ["fleet"],
  "@nats-io/transport-node": ["fleet"],
  ink: ["tui"],
  react: ["tui"],
  preact: ["web"],
  "@codemirror/autocomplete": ["web"],
  "@codemirror/commands": ["web"],
  "@codemirror/language": ["web"],
  "@codemirror/legacy-modes": ["web"],
  "@codemirror/lint": ["web"],
  "@codemirror/merge": ["web"],
  "@codemirror/state": ["web"],
  "@codemirror/view": ["web"],
  "@lezer/highlight": ["web"],
  uplot: ["web"],
};

/** Files that read the platform although no `x-linux.ts` or `x-darwin.ts` stands beside them, and why. */
export const PLATFORM_READERS: Readonly<Record<string, string>> = {
  "src/network/listen/network-listener.ts": "picks between rtnetlink, SCDynamicStore and polling",
  "src/network/routes/route-lookup.ts": "picks between ip and route, which differ by four lines",
  "src/daemon/notify/notification-command.ts": "picks between notify-send and AppleScript, a few lines each",
  "src/shares/prober/prober-child.ts": "picks between /proc and libproc; nobody else asks for open files",
  "src/config/home-context.ts": "the default folders differ, and the one place that knows them asks",
  "src/daemon/compose/log-settings.ts": "the log's place differs by a line",
  "src/demo/stage/plain-rig.ts": "the server and its mounts need Linux; it says so elsewhere",
  "src/cli/commands/tui.ts": "SwiftBar, and the program that opens a path",
  "src/sync/folder-events.ts": "only inotify reports a move as one; the difference is one condition",
  "src/clients/client.ts": "the folder of applications, and what a bundle is for",
};

/** Sub-folders of one folder may know each other in any way that is no cycle, but for these and what lies below them. */
export const FORBIDDEN: readonly {
  readonly from: string;
  readonly to: readonly string[];
  readonly because: string;
}[] = [
  {
    from: "api/server",
    to: ["api/http", "api/client"],
    because: "one handler answers whoever was let in; who that is, the listener's guard says",
  },
  {
    from: "gateway/backends",
    to: ["gateway/frontend", "gateway/middleware"],
    because: "a backend serves whoever asks, and knows no client",
  },
  {
    from: "gateway/frontend",
    to: ["gateway/backends"],
    because: "a front asks the chain of middleware, whatever answers behind it",
  },
  {
    from: "shares/policy",
    to: ["shares/engine", "shares/links", "shares/mounts"],
    because: "a policy decides by what was seen; others look and step",
  },
  {
    from: "web/page",
    to: ["web"],
    because: "the page runs in a browser, and the server of it on Node",
  },
];

/** The sub-folders of this one hold commands of several words, and are one room with it. */
export const ROOM_OF_COMMANDS = "cli/commands";

export const BANNED_FOLDER_NAMES = ["utils", "util", "helpers", "helper", "common", "misc", "shared", "lib"];
