// Keys that are gone, each with what to do instead. Pure data; deleted with the first release.
export const REMOVED_KEYS: readonly (readonly [key: string, hint: string])[] = [
  ["[fleet] together", "delete it: `import` publishes a tool of another machine as `MACHINE_TOOL`"],
  ...["[global]", "[[shares]]"].map((header) => {
    return [`${header} relay`, 'delete it, or write `on_route_change = "remount"` for "off"'] as const;
  }),
  ["[fleet] operator", "delete it: share one configuration file instead, for example a git checkout"],
];
