// Owns what people type for commands that are called otherwise here.

/** By word: what to type. */
const MEANT: Readonly<Record<string, string>> = {
  start: "mountaineer monitor keeps everything up here; mountaineer install has it begin at every login",
  stop:
    "Ctrl-C ends mountaineer monitor where it runs; mountaineer uninstall stops the service and removes it, " +
    "docs/install.md says how to stop it alone",
  restart: "end mountaineer monitor with Ctrl-C and begin it again; mountaineer reload reads the file anew",
  run: "mountaineer monitor keeps everything up here",
  up: "mountaineer monitor keeps everything up here",
  serve: "mountaineer monitor serves the gateway; mountaineer mcp serves one client over stdio",
  list: "mountaineer shares list, mountaineer backends list or mountaineer tools list",
  ls: "mountaineer shares list, mountaineer backends list or mountaineer tools list",
  add: "mountaineer shares add; backends are added with mountaineer config edit",
  remove: "mountaineer shares remove; backends are removed with mountaineer config edit",
  validate: "mountaineer config validate",
  edit: "mountaineer config edit",
  check: "mountaineer verify looks at the shares, mountaineer doctor at everything",
  servers: "mountaineer backends list",
  setup: "mountaineer init",
};

/** null: the first word is none of them. */
export function meantBy(args: readonly string[]): string | null {
  const word = args.find((arg, index) => !arg.startsWith("-") && args[index - 1] !== "--config") ?? "";
  return Object.hasOwn(MEANT, word) ? (MEANT[word] ?? null) : null;
}
