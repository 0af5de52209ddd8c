// Hints for words that are commands in other programs, but not here.

const LIST_SHARES = "mountaineer shares list";
const ADD_SHARE = "mountaineer shares add --share NAME --tb-host HOST --fallback-host HOST";
const REMOVE_SHARE = "mountaineer shares remove --share NAME";
const ADD_BACKEND = "mountaineer backends add NAME -- PROGRAM ARGUMENTS";
const REMOVE_BACKEND = "mountaineer backends remove NAME";
const TURN_OFF_BACKEND = "mountaineer backends disable NAME; enable has it run again";
const LOG_IN = "mountaineer backends login NAME";
const SHOW_CONFIG = "mountaineer config show";
const UNSET_KEY =
  "mountaineer config unset KEY takes one out; mountaineer config rollback undoes the last change";
const DASHBOARD = "mountaineer tui in a terminal, mountaineer menubar in the panel";
const UPGRADE =
  "run git pull and npm ci in the clone, then mountaineer restart: the daemon goes on with the new version";
const START = "mountaineer up";
const STOP = "mountaineer down";

/** The hint, by group ("" for none) and word. */
const MEANT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "": {
    start: START,
    run: START,
    install: START,
    stop: STOP,
    quit: STOP,
    kill: STOP,
    upgrade: UPGRADE,
    update: UPGRADE,
    handover: "mountaineer restart",
    serve: "mountaineer up serves the gateway; mountaineer mcp serves one client over stdio",
    list: `${LIST_SHARES}, mountaineer backends list or mountaineer tools list`,
    ls: `${LIST_SHARES}, mountaineer backends list or mountaineer tools list`,
    add: "mountaineer shares add or mountaineer backends add",
    remove: "mountaineer shares remove or mountaineer backends remove",
    rm: "mountaineer shares remove or mountaineer backends remove",
    validate: "mountaineer config validate",
    edit: "mountaineer config edit",
    get: "mountaineer config get KEY",
    set: "mountaineer config set KEY VALUE",
    show: `mountaineer status shows how things are, ${SHOW_CONFIG} the configuration`,
    info: "mountaineer status",
    history: "mountaineer config history",
    rollback: "mountaineer config rollback",
    diff: "mountaineer config diff",
    check: "mountaineer verify looks at the shares, mountaineer doctor at everything",
    server: "mountaineer backends list",
    servers: "mountaineer backends list",
    setup: "mountaineer init",
    login: `${LOG_IN} signs in to an MCP server that wants it`,
    signin: `${LOG_IN} signs in to an MCP server that wants it`,
    logout: "mountaineer backends logout NAME",
    token:
      "mountaineer init --add --token makes one for agents over HTTP; mountaineer secret set gateway-token changes it",
    trust: "mountaineer approve for changes of the configuration, mountaineer tools approve for tools",
    umount: "mountaineer unmount",
    eject: "mountaineer unmount --share NAME",
    favourites: LIST_SHARES,
    disconnect: "mountaineer connect NAME --undo puts that client's file back",
    migrate: "mountaineer import takes over the MCP servers of other programs",
    registry: "mountaineer backends add NAME --registry SERVER",
    gui: DASHBOARD,
    ui: DASHBOARD,
    web: DASHBOARD,
    dashboard: DASHBOARD,
  },
  shares: {
    ls: LIST_SHARES,
    show: LIST_SHARES,
    new: ADD_SHARE,
    create: ADD_SHARE,
    rm: REMOVE_SHARE,
    delete: REMOVE_SHARE,
    del: REMOVE_SHARE,
    edit: "mountaineer config edit",
    set: "mountaineer config set shares.NAME.KEY VALUE",
  },
  backends: {
    ls: "mountaineer backends list",
    show: "mountaineer backends list",
    status: "mountaineer backends list",
    log: "mountaineer backends logs NAME",
    new: ADD_BACKEND,
    create: ADD_BACKEND,
    rm: REMOVE_BACKEND,
    delete: REMOVE_BACKEND,
    set: "mountaineer backends edit NAME --set KEY=VALUE",
    update: "mountaineer backends edit NAME",
    import: "mountaineer import",
    switch: "mountaineer switch --backend NAME --to ROUTE",
    auth: LOG_IN,
    signin: LOG_IN,
    approve: "mountaineer approve NAME",
    stop: TURN_OFF_BACKEND,
    start: "mountaineer backends enable NAME, or mountaineer backends restart NAME",
  },
  config: {
    ls: SHOW_CONFIG,
    list: SHOW_CONFIG,
    view: SHOW_CONFIG,
    print: SHOW_CONFIG,
    cat: SHOW_CONFIG,
    check: "mountaineer config validate",
    open: "mountaineer config edit",
    add: "mountaineer config set KEY VALUE",
    rm: UNSET_KEY,
    remove: UNSET_KEY,
    delete: UNSET_KEY,
    reset: UNSET_KEY,
    undo: "mountaineer config rollback",
    init: "mountaineer init",
  },
  secret: {
    ls: "mountaineer secret list",
    show: "mountaineer secret list says which are kept; their values are never shown",
    get: "mountaineer secret list says which are kept; their values are never shown",
    add: "mountaineer secret set NAME",
    create: "mountaineer secret set NAME",
    rm: "mountaineer secret remove NAME",
    delete: "mountaineer secret remove NAME",
    unset: "mountaineer secret remove NAME",
  },
  alias: {
    ls: "mountaineer alias list",
    new: "mountaineer alias add --name NAME --share SHARE --target-subpath FOLDER",
    create: "mountaineer alias add --name NAME --share SHARE --target-subpath FOLDER",
    rm: "mountaineer alias remove --name NAME",
    delete: "mountaineer alias remove --name NAME",
  },
  tools: {
    ls: "mountaineer tools list",
    call: "mountaineer call TOOL",
    accept: "mountaineer tools approve NAME",
  },
};

/** The hint for `word` after `group` ("" for none); null if there is none. */
export function meantBy(group: string, word: string): string | null {
  const words = Object.hasOwn(MEANT, group) ? MEANT[group] : undefined;
  return words !== undefined && Object.hasOwn(words, word) ? (words[word] ?? null) : null;
}

/** The arguments without options and without the file of `--config`. */
export function plainWords(args: readonly string[]): string[] {
  return args.filter((arg, index) => !arg.startsWith("-") && args[index - 1] !== "--config");
}
