// What some servers want of the shell or desktop in which their client runs, by what they are.

const SESSION = ["session"];
const AWS = ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE"];
const DOCKER = ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"];

/** Words of a program or package, with the variables that it wants. */
const WANTED = [
  [
    /\b(?:chrome|chromium|firefox|playwright|puppeteer|selenium|browser|devtools|desktop|clipboard|screenshot)\b/i,
    SESSION,
  ],
  [/(?:^|\/)ssh$|\b(?:ssh-mcp|mcp-ssh)\b/i, SESSION],
  [/\baws(?:labs)?\b/i, AWS],
  [/\b(?:kubernetes|kubectl|k8s|kube|helm)\b/i, ["KUBECONFIG"]],
  [/(?:^|\/)(?:docker|podman)$|\b(?:docker-mcp|mcp-docker|mcp-server-docker)\b/i, DOCKER],
] as const;

export function wantedOf(command: string, args: readonly string[]) {
  // An option's value may be anything.
  const named = [command, ...args.filter((arg) => /^@?[a-z][\w./@:-]*$/i.test(arg))];
  const found = WANTED.filter(([form]) => named.some((one) => form.test(one))).flatMap(
    ([, wanted]) => wanted,
  );
  return {
    /** It shows something on the desktop, or uses the keys of its session. */
    wantsSession: found.includes("session") && !args.includes("--headless"),
    variables: [...new Set<string>(found)].filter((name) => name !== "session"),
  };
}
