/** Methods that the gateway answers without a backend. */
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

/** Methods about tasks, in legacy versions and in MODERN_VERSION. */
export const TASK_METHODS = ["tasks/get", "tasks/result", "tasks/cancel", "tasks/list", "tasks/update"];
