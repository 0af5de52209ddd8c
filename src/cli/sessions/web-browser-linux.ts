// The program that opens an address on a Linux desktop.

/** Variables that lead to the desktop session and to the preferred browser. */
const OF_SESSION =
  /^(?:DISPLAY|WAYLAND_DISPLAY|XAUTHORITY|DBUS_SESSION_BUS_ADDRESS|BROWSER|DESKTOP_SESSION|XDG_.+)$/;

/** The program that opens an address; null without a screen, as over SSH. */
export function browserOpenerLinux(
  environment: Readonly<Record<string, string | undefined>>,
): { readonly program: string; readonly env: Readonly<Record<string, string>> } | null {
  const { DISPLAY, WAYLAND_DISPLAY, BROWSER } = environment;
  if (!DISPLAY && !WAYLAND_DISPLAY && !BROWSER) return null;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && OF_SESSION.test(name)) env[name] = value;
  }
  return { program: "xdg-open", env };
}
