// Edits of the configuration that wait for a person, with approvals sealed on the disk.
import { describe } from "node:test";
import { tellStories } from "../../support/stories.ts";
import { EDIT_WORDS } from "./edit-words.ts";

// Further down: what a program tries that may write the file, and wants something to run or to be sent.
describe("pending edits", { concurrency: 4 }, () => {
  tellStories(
    EDIT_WORDS,
    `
E2 B6 a server is added
  a home, with files; saved files two: files is "serve /", no two, waits backends.two, asked of backends.two "command = 'two'⏎cwd = '/srv'"
E2 B6 a command changes, and the rest of the edit applies
  a home, with files; saved evil "[global]⏎connect_timeout_ms = 901": files is "serve /", the time-out is 901, waits backends.files, approved of backends.files "command = 'serve'⏎args = ['/']", asked of backends.files "command = 'evil'⏎args = ['/']"
E2 B6 an argument changes
  a home, with files two; saved files two{cwd = '/srv'→args = ['--evil']}: two is "two in /srv", waits backends.two
E2 B6 a variable is added
  a home, with files two; saved files two "[backends.two.env]⏎LD_PRELOAD = '/evil.so'": two is "two in /srv", waits backends.two, approved of backends.two "command = 'two'", asked of backends.two "env.LD_PRELOAD = '/evil.so'"
E2 B6 a variable is removed
  a home, with files two "[backends.two.env]⏎SAFE = '1'"; saved files two: two is "two in /srv SAFE=1", waits backends.two
E2 B6 a variable refers to another secret
  a home, with files two "[backends.two.env]⏎TOKEN = 'secret:small'"; saved files two "[backends.two.env]⏎TOKEN = 'secret:large'"; restarted: two is "two in /srv TOKEN=<small>", waits backends.two
E2 B6 a folder changes
  a home, with files two; saved files two{/srv→/home}: two is "two in /srv", waits backends.two, approved of backends.two "cwd = '/srv'", asked of backends.two "cwd = '/home'"
E2 B6 an address changes, under all
  a home, with all web; saved all web{one→evil}: web is "https://one.example/mcp Authorization=Bearer <web>", waits backends.web, approved of backends.web "url = 'https://one.example/mcp'", asked of backends.web "url = 'https://evil.example/mcp'"
E2 B6 a header is added, under all
  a home, with all web; saved all web "X-Also = '\${secret:other}'": web is "https://one.example/mcp Authorization=Bearer <web>", waits backends.web
E2 B6 a server at an address becomes a program
  a home, with files web; saved files "[backends.web]⏎command = 'evil'": web is "https://one.example/mcp Authorization=Bearer <web>", waits backends.web
E2 B6 a program becomes one route of two
  a home, with files two; saved files "[[backends.two.routes]]⏎url = 'https://two.example/mcp'⏎[[backends.two.routes]]⏎command = 'evil'": two is "two in /srv", waits backends.two
E2 B6 a program becomes one route of two, is removed, and restored unchanged
  a home, with files two{⏎cwd = '/srv'→}; saved files "[backends.two]⏎[[backends.two.routes]]⏎command = 'two'⏎[[backends.two.routes]]⏎command = 'evil'"; saved files; saved files two{⏎cwd = '/srv'→}: nothing waits
E2 B6 a share's host changes, under all
  a home, with all core; saved all core{'b'→'evil'}: CORE is "a, b", waits shares.CORE, approved of shares.CORE "fallback_host = 'b'", asked of shares.CORE "fallback_host = 'evil'"
E2 B6 a share's host changes, under commands
  a home, with commands core; saved commands core{'b'→'c'}: CORE is "a, c", nothing waits
E2 B6 a share is added, with an alias on it, under all
  a home, with all core; saved all core core{'CORE'→'MORE' & 'a'→'c' & 'b'→'d'} docs{CORE→MORE}: CORE is "a, b", no MORE, no docs, waits shares.MORE aliases.docs
E2 B6 an alias leads into another share, under all
  a home, with all core core{'CORE'→'MORE' & 'a'→'c' & 'b'→'d'} docs; saved all core core{'CORE'→'MORE' & 'a'→'c' & 'b'→'d'} docs{CORE→MORE}: docs is "CORE:docs", waits aliases.docs
E2 B6 a policy allows more, under all
  a home, with all sign-in rules; saved all sign-in rules{deny→allow}: the policies are "deny 1", waits authorization
E2 B6 the policies are gone, under all
  a home, with all sign-in rules; moved there all sign-in; restarted: the policies are "deny 1", waits authorization
E2 B6 the sign-in is gone, under all
  a home, with all sign-in; moved there all; restarted: the sign-in is "local 1", waits incoming_auth
E2 B6 it listens on every address, with a sign-in of the writer's own, under all
  a home, with all files; saved all files "[server]⏎host = '0.0.0.0'" sign-in: the sign-in is anonymous, the address is 127.0.0.1, waits incoming_auth
E2 B6 the page is switched on by removing [server]
  a home, with files "[server.management]⏎enabled = false"; saved files: the page is false, waits incoming_auth
E2 B6 the same, and the daemon restarts
  a home, with files "[server.management]⏎enabled = false"; saved files; restarted: the page is false, waits incoming_auth
E2 B6 a token moves from one user to another, under all
  a home, with all "[incoming_auth]⏎type = 'local'⏎token = '\${T}'"; moved there all "[incoming_auth]⏎type = 'local'⏎[[incoming_auth.users]]⏎name = 'eve'⏎token = '\${T}'⏎roles = ['admin']": the sign-in is "local 1", waits incoming_auth, approved of incoming_auth "token = '\${T}'", asked of incoming_auth "users[0].name = 'eve'⏎users[0].token = '\${T}'"
E2 B6 a variable moves from one server to another
  a home, with files "[backends.files.env]⏎TOKEN = 'secret:kept'" two; saved files two "[backends.two.env]⏎TOKEN = 'secret:kept'": files is "serve / TOKEN=<kept>", two is "two in /srv", waits backends.files backends.two
E2 B6 approve is loosened, and a command is added with it
  a home, with files; saved files two none: no two, the mode is null, waits backends.two trust
E2 B6 two edits in a row: first loosened, then used
  a home, with files commands; saved files none; saved files two none: no two, the mode is commands, waits backends.two trust
E2 B6 two edits in a row: a server with access to the home is removed, then a command is added
  a home, with files two; saved two; saved two{'two'→'evil'}: no files, two is "two in /srv", waits backends.two
E2 B6 two edits in a row: a pending one is changed again
  a home, with files; saved evil; saved evil{evil→worse}: files is "serve /", waits backends.files, approved of backends.files "command = 'serve'", asked of backends.files "command = 'worse'"
E2 B6 two edits in a row: restored unchanged
  a home, with files; saved evil; saved files: files is "serve /", nothing waits
E2 B6 a server is removed, and restored unchanged
  a home, with files two; saved files; saved files two: two is "two in /srv", nothing waits
E2 B6 a server is removed, and returns with a different command
  a home, with files two; saved files; restarted; saved files two{'two'→'evil'}: no two, waits backends.two
E2 B6 a server returns in a form before the last
  a home, with files two; saved files two{'two'→'better'}; approved backends.two; saved files; saved files two: no two, waits backends.two
E2 B6 a server, a share and an alias are removed, under all
  a home, with all files two core docs; saved all files: files is "serve /", no two, no CORE, no docs, nothing waits
E2 B6 a server that a person switched off is switched on by the file
  a home, with files two; edited backends.two.enabled = false; saved files two: no two, waits backends.two
E2 B6 a server that a person switched off is removed, and restored
  a home, with files two; edited backends.two.enabled = false; saved files; restarted; saved files two: no two, waits backends.two
E2 B6 a server that a person switched off returns under another name
  a home, with files two; edited backends.two.enabled = false; saved files two{two]→three]}: no three, waits backends.three
E2 B6 a server that a person removed is restored
  a home, with files two; removed two; saved files two: no two, waits backends.two
E2 B6 a server that the file switched off is switched on by it
  a home, with files two; saved files two "enabled = false"; saved files two: two is "two in /srv", nothing waits
E2 B6 a server changes while it is off, and its person switches it on
  a home, with files two; edited backends.two.enabled = false; saved files two{'two'→'evil'} "enabled = false"; edited backends.two.enabled unset: no two, waits backends.two
E2 B6 an unread edit from outside, and a person's edit of another entry
  a home, with files two; unread evil two; edited backends.two.command = better: files is "serve /", two is "better in /srv", waits backends.files
E2 B6 an edit from outside, and a person's edit of the same entry
  a home, with files; saved evil; edited backends.files.cwd = /srv: files is "serve /", waits backends.files, approved of backends.files "command = 'serve'", asked of backends.files "command = 'evil'⏎cwd = '/srv'"
E2 B6 an edit from outside, and a person's edits that revert it
  a home, with files; unread evil; edited backends.files.cwd = /srv; edited backends.files.command = serve & backends.files.cwd unset: files is "serve /", nothing waits
E2 B6 an edit from outside, and a person's text over it
  a home, with files two; saved evil two; typed evil two{'two'→'better'}; restarted: files is "serve /", two is "better in /srv", waits backends.files
E2 B6 a visitor changes a command
  a home, with files; a visitor may not set backends.files.command = evil: files is "serve /", nothing waits
E2 B6 a rollback to replaced content
  a home, with files; edited backends.files.command = better; rolled back: files is "better /", waits backends.files
E2 B6 a rollback to pending content
  a home, with files; saved evil; saved files; rolled back; restarted: files is "serve /", waits backends.files
E2 B6 a restart while an edit waits
  a home, with files; saved evil two; restarted: files is "serve /", no two, waits backends.files backends.two
E2 B6 an edit while no daemon runs
  a home, with files; unread evil two; restarted: files is "serve /", no two, waits backends.files backends.two
E2 B6 one of two is approved, and the daemon restarts
  a home, with files; saved evil two; approved backends.two; restarted: files is "serve /", two is "two in /srv", waits backends.files
E2 B6 a server gets another name
  a home, with files two; saved files two{two]→three]}: no two, three is "two in /srv", nothing waits
E2 B6 a server gets another name, under all
  a home, with all files two; saved all files two{two]→three]}: no two, no three, waits backends.three
E2 B6 two servers swap positions, under all
  a home, with all files two; saved all two files: the order is "files two", waits backends, approved of backends "order = ['files','two']", asked of backends "order = ['two','files']"
E2 B6 two servers swap names, under all
  a home, with all files two; saved all files{files]→two]} two{two]→files]}: files is "serve /", two is "two in /srv", waits backends.two backends.files backends
E2 B6 a name occurs twice: the file is refused, and the running configuration stays
  a home, with files; refused files evil: files is "serve /", nothing waits
E2 B6 a share's name occurs twice, in another case: the file is refused
  a home, with all core; refused all core core{CORE→core & 'a'→'evil' & 'b'→'evil2'}: CORE is "a, b", no core, nothing waits
E2 B6 a YAML file with an anchor that leads to another command
  a home in YAML, with "sync: {enabled: false}⏎backends:⏎  files: {command: serve, args: [/]}"; saved "sync: {enabled: false}⏎backends:⏎  files: &files {command: evil, args: [/]}⏎  two: *files": files is "serve /", no two, waits backends.files backends.two
E2 B6 half a file, in place
  a home, with watched files two; cut all but 8 of watched files two: files is "serve /", two is "two in /srv", nothing waits
E2 B12 a shrink in place that drops the sign-in, in any mode
  a home, with none watched sign-in; cut none watched: the sign-in is "local 1", nothing waits
E2 B6 the same by a rename, under all: it is whole, and waits
  a home, with all sign-in; moved there all: the sign-in is "local 1", waits incoming_auth
E2 B6 other keys of a pending entry: it runs whole, as it was approved
  a home, with files "[backends.files.filters.tools]⏎deny = ['rm']"; saved evil "group = 'new'"; restarted: files is "serve /", the filters of files are rm, the group of files is null, waits backends.files, approved of backends.files "command = 'serve'⏎filters.tools.deny = ['rm']", asked of backends.files "command = 'evil'"
E2 B6 a second server with the command of a running one
  a home, with files two; saved files two two{two]→three]}: two is "two in /srv", no three, waits backends.three
E2 B6 two servers in place of one, each with its command
  a home, with files two; saved files two{two]→three]} two{two]→four]}: no two, three is "two in /srv", no four, waits backends.four
E2 B6 a new name, and the first name again next to it
  a home, with files two; saved files two{two]→three]}; saved files two{two]→three]} two: no two, three is "two in /srv", waits backends.two
E2 B6 two servers swap names
  a home, with files two; saved files{files]→two]} two{two]→files]}: files is "serve /", two is "two in /srv", waits backends.files backends.two
E2 B6 a server takes the command of one that was removed
  a home, with files two; saved files; saved files{'serve'→'two' & args = ['/']→cwd = '/srv'}: files is "serve /", waits backends.files
E2 B6 a server is switched off, changed and switched on, in three edits
  a home, with files two; saved files two "enabled = false"; saved files two{'two'→'evil'} "enabled = false"; saved files two{'two'→'evil'}: no two, waits backends.two
E2 B6 a pending one is switched off by the file, and switched on by a person
  a home, with files two; saved files two{'two'→'evil'}; saved files two{'two'→'evil'} "enabled = false"; edited backends.two.enabled unset: no two, waits backends.two
E2 B6 a pending one is switched off by a person, and restored as it was approved
  a home, with files two; saved files two{'two'→'evil'}; edited backends.two.enabled = false; saved files two: no two, waits backends.two
E2 B6 the file changes under the question, unread: the yes covers the shown version
  a home, with files; saved files{serve→better}; unread evil; approved backends.files; saved evil: files is "better /", waits backends.files
E2 B6 the second of two routes is put first, under all
  a home, with all "[[backends.two.routes]]⏎url = 'https://a.example/mcp'⏎[[backends.two.routes]]⏎url = 'https://b.example/mcp'"; saved all "[[backends.two.routes]]⏎url = 'https://b.example/mcp'⏎[[backends.two.routes]]⏎url = 'https://a.example/mcp'": two is "https://a.example/mcp or https://b.example/mcp", waits backends.two
E2 B6 one of two routes remains
  a home, with files "[[backends.two.routes]]⏎command = 'two'⏎[[backends.two.routes]]⏎command = 'also'"; saved files "[backends.two]⏎command = 'two'": two is "two or also", waits backends.two
E2 B6 names that JavaScript reserves
  a home, with files; saved files "[backends.constructor]⏎command = 'evil'⏎[backends.toString]⏎command = 'evil'⏎[backends.files.env]⏎hasOwnProperty = 'evil'": files is "serve /", no constructor, no toString, waits backends.constructor backends.toString backends.files
E2 B6 a variable whose name the engine uses for its own results
  a home, with files two; saved files "[backends.files.env]⏎stored = '\${secret:other}'" two "[backends.two.env]⏎cwdGiven = 'evil'": files is "serve /", two is "two in /srv", waits backends.files backends.two, asked of backends.files "env.stored = '\${secret:other}'"
E2 B6 a header of such a name, under all
  a home, with all web; saved all web "stored = '\${secret:other}'": web is "https://one.example/mcp Authorization=Bearer <web>", waits backends.web
E2 B6 two shares swap names, one after the other, under all
  a home, with all shared docs; saved all shared{name = 'CORE'→name = 'AWAY'}; saved all shared{name = 'CORE'→name = 'AWAY' & name = 'MORE'→name = 'CORE'} docs: no AWAY, no CORE, no docs, waits shares.AWAY shares.CORE
E2 B6 [trust] is removed, and so are its rules
  a home, with all core; saved core{'b'→'evil'}; saved core{'b'→'evil'}; restarted: CORE is "a, b", the mode is all, waits shares.CORE trust
E2 B6 links and mounts are moved, under all
  a home, with all core docs; saved all core docs "[global]⏎shares_root = '/home/ann/.config/autostart'": docs is "CORE:docs", the links are default, waits global aliases.docs
E2 B6 limits are lifted, the audit and a pin are removed, under all
  a home, with "[trust]⏎approve = 'all'⏎pin = 'block'⏎[limits]⏎sessions = 7⏎[audit]⏎path = '/srv/audit'"; saved all: the sessions are 7, the audit is /srv/audit, the pin is block, waits limits audit trust
E2 B6 the gateway's port and public address change, under all, and wait as one entry
  a home, with all files "[server]⏎port = 9000"; saved all files "[server]⏎port = 9001⏎public_url = 'https://a.example/mcp'": the port is 9000, waits incoming_auth; restarted: the port is 9000, waits incoming_auth
E2 B6 the page may run commands, by an edit of the file
  a home, with files; saved files "[server]⏎port = 9001⏎[server.management]⏎allow_commands = true": may the page run commands is false, waits incoming_auth
E2 B6 an emptied file that is whole, and then a different one
  a home, with files two; moved there quiet; moved there files two{'two'→'evil'}: files is "serve /", no two, waits backends.two
E2 B6 approvals made by another home
  a home, with files; forged evil: no files, waits backends.files
E2 B6 a person's edit where approvals are lost approves only its own change
  a home, with all files two sign-in; lost all evil two sign-in; edited backends.two.args = ["x"]; restarted: no files, no two, the sign-in is "local 0", waits backends.files backends.two incoming_auth authorization trust
E2 B6 approvals are lost under all: limits, links and names are as without the file
  a home, with all core "[limits]⏎sessions = 7"; lost all core "[limits]⏎sessions = 900⏎[global]⏎shares_root = '/home/ann/.config'"; approved shares.CORE: CORE is "a, b", the sessions are 500, the links are default, waits limits global incoming_auth authorization trust
E2 B6 approvals are lost: nothing runs, and shares that the mode does not guard are mounted
  a home, with files core sign-in; lost files core sign-in: no files, CORE is "a, b", the sign-in is "local 1", waits backends.files
E2 B6 approvals are lost under all: no one is admitted, and nothing is sent
  a home, with all files web core sign-in rules; lost all files web core sign-in rules "[audit]⏎path = '/home/ann/.bashrc'": no files, no web, no CORE, the sign-in is "local 0", the policies are "deny 0", the pin is block, the audit is none, waits backends.files backends.web shares.CORE incoming_auth authorization trust audit
E2 B6 approvals are lost, and the page was off: it stays off
  a home, with files "[server.management]⏎enabled = false"; lost files "[server.management]⏎enabled = false": no files, the page is false, waits backends.files
E2 B6 the keyring is locked: shares that the mode does not guard are mounted
  a home, with files core; locked files core: no files, CORE is "a, b", waits backends.files
E2 B6 the keyring is locked under all, and the file was loosened: a share's password is sent to no other host
  a home, with all core; locked none core{'b'→'evil'}: no CORE, waits shares.CORE incoming_auth authorization trust
E2 B6 where nothing reaches the home nothing waits, except the very edit that needs approvals
  a home, with calm: mode none, nothing waits; saved calm files{['/']→['/']⏎enabled = false}: mode none, nothing waits
  saved calm two: two is "two in /srv"; saved calm two files: mode commands, waits backends.files
  saved calm two{'two'→'evil'}: mode commands, waits backends.two
E2 B6 the running configuration decides whether a server reaches the home
  a home, with files none; saved two: mode commands, waits backends.two
E2 B6 loosened it stays strict until a person approves that, tightened it applies at once
  a home, with files all; saved files none: mode all, waits trust, the mode is all; saved files: mode all
  saved files none; approved trust: mode none, nothing waits; saved files two none: two is "two in /srv"
  saved files two commands: mode commands
E2 B6 with commands, edits of addresses, the sign-in and rights apply
  a home, with commands files core docs web sign-in rules
  saved commands files core{'b'→'c'} docs web{one→two} sign-in{T→U} rules{'deny'→'allow'}: nothing waits
E2 B6 with all they wait
  a home, with all files core docs web sign-in rules
  saved all files core{'b'→'c'} docs web{one→two} sign-in{T→U} rules{'deny'→'allow'}: CORE is "a, b", the policies are "deny 1"
  saved all files core{'b'→'c'} docs web{one→two} sign-in{T→U} rules: waits backends.web incoming_auth shares.CORE
E2 B6 an unchanged alias has no share while that waits
  a home, with all files core docs; saved all files; saved all files core{'b'→'evil'} docs: no CORE, no docs, waits shares.CORE
E2 B6 a [server] that is removed and returns with the defaults needs an approval
  a home, with all "[server]⏎public_url = 'https://mcp.example'⏎[server.management]⏎enabled = false"; saved all: waits incoming_auth
  restarted: waits incoming_auth; saved all "[server]": waits incoming_auth, the page is false
  saved all "[server]": the public address is https://mcp.example; saved all; approved incoming_auth: nothing waits
  saved all "[server]": nothing waits, the page is null, the public address is null
E2 B6 where approvals are lost nothing is approved, no one is admitted, and approving restores it
  a home, with all files web; lost all files web: no files, no web, the sign-in is "local 0", the policies are "deny 0"
  restarted: no files, no web; approved backends.files backends.web incoming_auth authorization trust: nothing waits
  restarted: files is "serve /", the sign-in is anonymous, the policies are none
E2 B6 where approvals are lost and all waits, no trace is sent anywhere and changed tools are withheld
  a home, with all files fleet sign-in "[server]⏎host = '0.0.0.0'" few "[telemetry]⏎endpoint = 'https://one.example'"
  restarted: the telemetry is https://one.example, the groups are few, the fleet is laptop, the address is 0.0.0.0
  lost all files fleet sign-in "[server]⏎host = '0.0.0.0'" few "[telemetry]⏎endpoint = 'https://evil.example'": the pin is block
  restarted: the telemetry is none, the groups are none, the fleet is none, the address is 127.0.0.1
  approved telemetry trust: the telemetry is https://evil.example, the pin is tell
E2 B6 with all, a pending entry keeps its approved limits, telemetry, names and public address
  a home, with all files "[limits]⏎sessions = 7" "[telemetry]⏎endpoint = 'https://one.example'" "[server]⏎public_url = 'https://one.example/mcp'" "[conflict_resolution]⏎strategy = 'prefix'"
  saved all files "[limits]⏎sessions = 70" "[telemetry]⏎endpoint = 'https://evil.example'" "[server]⏎public_url = 'https://evil.example/mcp'" "[conflict_resolution]⏎strategy = 'error'": waits conflict_resolution incoming_auth limits telemetry
  restarted: the sessions are 7, the telemetry is https://one.example, the public address is https://one.example/mcp, the strategy is prefix
E2 B6 with all, pending edits of the page's rights and of tables with chosen keys keep the approved ones
  a home, with all files "[backends.files.tool_overrides.a]⏎name = 'b'"
  saved all "[server.management]⏎allow_commands = true" files "[backends.files.tool_overrides.a]⏎name = 'b'⏎[backends.files.tool_overrides.c]⏎name = 'd'": waits backends.files incoming_auth
  restarted: may the page run commands is false, the names of files are a
E2 B6 with all, a new order waits, and the tool that keeps a name stays as approved until a person says yes
  a home, with all files two; saved all two files: waits backends, approved of backends "order = ['files','two']"; restarted: the order is "files two"
  saved all calm two files: waits backends.calm backends, asked of backends "order = ['two','files']"
  approved backends.calm: the order is "files two calm", waits backends; approved backends: the order is "calm two files", nothing waits
  restarted: the order is "calm two files"; saved all calm files; saved all calm two files: the order is "calm two files", nothing waits
  saved all files calm two: waits backends; saved all calm two files: nothing waits
E2 B6 with commands, a new order applies
  a home, with commands files two; saved commands two files: the order is "two files", nothing waits
E2 B6 with all, an approval of a server leaves it in its place among the others
  a home, with all files two; saved all files{serve→serve2} two; approved backends.files: the order is "files two", files is "serve2 /"
  restarted: the order is "files two"
E2 B6 with all, approving an order does not approve the position of a backend that was not running then
  a home, with all files two; saved all calm two files; approved backends: the order is "two files", waits backends.calm
  approved backends.calm: the order is "two files calm", waits backends
E2 B6 with all, a different program under a former name does not inherit its place
  a home, with all files two; saved all two; saved all evil two; approved backends.files: the order is "two files", waits backends
E2 B6 an entry that was switched off when approvals began is known, and waits until its person switches it on
  a home, with files off; saved files two: waits backends.two, backends.two was off
  saved files two{'two'→'evil'}: waits backends.two, backends.two was on
E2 B6 while an edit that drops routes waits, all approved routes keep running
  a home, with all many; saved all "[backends.many]⏎command = 'evil'": many is "one or https://two.example/mcp", waits backends.many
  saved all "[backends.many]⏎command = 'one'": many is "one or https://two.example/mcp", waits backends.many
  saved all "[backends.many]⏎command = 'evil'"; approved backends.many: many is evil
E2 B6 a new command on any route waits, whatever the first route is, and the protocol is free
  a home, with files "[[backends.many.routes]]⏎url = 'https://two.example/mcp'⏎[[backends.many.routes]]⏎command = 'one'"
  saved files "[[backends.many.routes]]⏎url = 'https://two.example/mcp'⏎[[backends.many.routes]]⏎command = 'evil'": waits backends.many
  saved files{⏎args→⏎protocol = '2026-07-28'⏎args} "[[backends.many.routes]]⏎url = 'https://two.example/mcp'⏎[[backends.many.routes]]⏎command = 'one'": nothing waits
E2 B6 a command that changed while its server was off is not approved by switching it on
  a home, with files two; typed files off; typed files two: two is "two in /srv"; typed files off
  saved files off{'two'→'evil'}; typed files two{'two'→'evil'}: no two
  typed files two{'two'→'evil'} "[backends.two.env]⏎MORE = '1'": no two; saved files off; typed files two: two is "two in /srv"
E2 B6 a person's edit of the file loosens no approval, whatever it moves
  a home, with all files two; typed none files two; saved none files two{'two'→'evil'}: two is "two in /srv"
  typed none two files; saved none two{'two'→'evil'} files: two is "two in /srv", mode all
E2 B6 one that was switched off when approvals began is switched on unchanged by its person, and by no other program
  a home, with files off; saved files two: no two; saved files off; typed files two: two is "two in /srv"
E2 B6 one that was switched off and has changed then is not
  a home, with files off; saved files off{'two'→'evil'}; typed files two{'two'→'evil'}: no two
E2 B6 one that was added to the file later, switched off, waits when it is switched on: no one was shown it
  a home, with files; saved files off; typed files two: no two
E2 B6 with all, a person's edit that moves servers moves them, and none that others have moved
  a home, with all files two; typed all two files: the order is "two files"; saved all files two: the order is "two files"
  typed all files two{'/srv'→'/srv'⏎group = 'x'}: the order is "two files"; saved all two files; typed all off files: the order is files
  typed all off{'two'→'cat'} files; typed all two{'two'→'cat'} files: the order is "two files", two is "cat in /srv"
  saved all files two{'two'→'cat'}; typed all calm files two{'two'→'cat'}: the order is "two files calm"
E2 B6 with all, an entry that a person adds is where they put it, and a pending one gets no position by that
  a home, with all files two; typed all files calm two: the order is "files calm two"
  saved all other files calm two; typed all other two files calm: the order is "two files calm"
  saved all two{'two'→'evil'} files calm; typed all calm two{'two'→'evil'} files: the order is "calm files two"
E2 B6 a person's edit while it is off runs when that person switches it on, and on no other's word
  a home, with files; typed files off; typed files off{'two'→'cat'}; saved files two{'two'→'cat'}: no two
  saved files off{'two'→'cat'}; typed files two{'two'→'cat'}: two is "cat in /srv"
E2 B6 a person's edit of another key does not switch on an entry that another program switched on
  a home, with files two; typed files off; saved files two: no two; typed files two "[backends.two.env]⏎MORE = '1'": no two
  saved files two; typed files off; saved files two: no two; typed files off; typed files two: two is "two in /srv"
E2 B6 with all, a person's edit of a server leaves it in its place among the others
  a home, with all files two; typed all files{serve→serve2} two: files is "serve2 /", the order is "files two"
  saved all two files{serve→serve2}: the order is "files two"
E2 B6 an entry that a person approves is not one that a visitor may set, in any mode
  a home, with files two web core sign-in rules "[server]⏎port = 9000"
  a visitor may not set backends.files.command = evil; a visitor may not set backends.files.args = ["-c"]; a visitor may not set backends.files.cwd = /tmp;
  a visitor may not set backends.files.env.LD_PRELOAD = /tmp/x.so; a visitor may not set backends.files.env.revision = '2'; a visitor may not set backends.two.cwd unset;
  a visitor may not set backends.more.command = more; a visitor may not set backends.more.url = https://b.example;
  a visitor may not set server.management.allow_commands = true; a visitor may not set server.management.allowed_hosts = ["a.example"];
  a visitor may not set server.management.enabled = true; a visitor may not set server.port = 9001; a visitor may not set server.public_url = https://a.example; a visitor may not set trust.approve = none;
  a visitor may not set trust.pin = block; a visitor may not set backends.web.url = https://evil.example;
  a visitor may not set backends.web.headers.X-Key = secret:other; a visitor may not set shares.CORE.fallback_host = evil.example;
  a visitor may not set shares.CORE.username = mallory; a visitor may not set incoming_auth.token = secret:t; a visitor may not set authorization.default_effect = allow;
  a visitor may not set audit.enabled = true; a visitor may not set limits.calls_per_second = 9000; a visitor may not set telemetry.endpoint = http://e.example;
  a visitor may not set groups.all.tools = ["*"]; a visitor may not set global.shares_root = /home/ann/.config;
  restarted: files is "serve /", nothing waits
E2 B6 everything else a visitor may set
  a home, with files two web core sign-in rules "[server]⏎port = 9000"
  a visitor sets server.drain_timeout = 9; a visitor sets backends.files.timeouts.call = 7; a visitor sets global.check_interval_secs = 9;
  restarted: nothing waits
`,
  );
});
