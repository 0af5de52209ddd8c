/** Requests for which no backend is asked: how clients connect, and what they list. */
export const OWN_ANSWERS: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "logging/setLevel",
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
  "skills/list",
]);
