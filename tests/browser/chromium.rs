//! Chromium without a window, spoken to over a pipe in its debugging protocol: JSON messages that end with a zero byte.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long any one answer may take; far more than it should, for machines that do much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one tab.
pub(super) struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    last: u64,
    session: Option<String>,
    /// What the tab told without being asked since it was last navigated.
    pub(super) events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(super) fn start() -> Self {
        let profile = tempfile::tempdir().expect("there is room for a folder");
        // The browser takes its orders on descriptor 3 and answers on 4.
        let line = "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", line, "sh"])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let input = child.stdin.take().expect("it is a pipe");
        let mut output = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while output
                .read_until(0, &mut message)
                .is_ok_and(|read| read > 0)
            {
                message.pop();
                let value = serde_json::from_slice(&message).expect("it speaks JSON");
                message.clear();
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            input,
            messages,
            last: 0,
            session: None,
            events: Vec::new(),
            _profile: profile,
        };
        browser.open_tab();
        browser
    }

    fn open_tab(&mut self) {
        let tab = self.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": tab["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", &attach);
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
        self.size(1300, 900);
    }

    /// Sends an order and waits for its answer.
    pub(super) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let mut order = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            order["sessionId"] = json!(session);
        }
        let mut bytes = order.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).expect("the browser listens");
        loop {
            let message = self.next(method);
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    /// The next message; one that is no answer is kept, too.
    fn next(&mut self, during: &str) -> Value {
        let message = self.messages.recv_timeout(PATIENCE);
        let message = message.unwrap_or_else(|_| panic!("the browser says nothing to {during}"));
        if message["id"].is_null() {
            self.events.push(message.clone());
        }
        message
    }

    /// Loads a file and says how long that took, the first layout included.
    pub(super) fn load(&mut self, file: &Path) -> Duration {
        let url = format!("file://{}", file.display());
        self.come("Page.navigate", &json!({ "url": url }))
    }

    /// Loads the same again.
    pub(super) fn reload(&mut self) {
        self.come("Page.reload", &json!({}));
    }

    fn come(&mut self, order: &str, parameters: &Value) -> Duration {
        self.events.clear();
        let start = Instant::now();
        self.call(order, parameters);
        let loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(loaded) {
            self.next("a page that shall load");
        }
        self.read("document.body.getBoundingClientRect().height");
        start.elapsed()
    }

    /// The value of an expression in the page.
    pub(super) fn read(&mut self, expression: &str) -> Value {
        let wanted =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", &wanted);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(super) fn until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.read(expression) != json!(true) {
            assert!(start.elapsed() < PATIENCE / 10, "never: {expression}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses a key as a person does.
    pub(super) fn press(&mut self, key: &str) {
        let text = match key {
            "Enter" => Some("\r"),
            _ if key.chars().count() == 1 => Some(key),
            _ => None,
        };
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            _ => 0,
        };
        let mut event = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            event["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", &event);
        let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", &up);
    }

    /// Clicks in the middle of the first element that a selector names, once it stands still: what comes into view gets its
    /// size only when it is drawn, and pushes away what is below it.
    pub(super) fn click(&mut self, selector: &str) {
        let middle = format!(
            "(() => {{ const it = document.querySelector({selector:?}); it.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        );
        let start = Instant::now();
        let mut place = self.read(&middle);
        loop {
            // Longer than it takes to draw.
            thread::sleep(Duration::from_millis(50));
            let now = self.read(&middle);
            if now == place || start.elapsed() > PATIENCE / 10 {
                break;
            }
            place = now;
        }
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    pub(super) fn size(&mut self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// As a system that prefers this scheme, `light` or `dark`, and this medium, `screen` or `print`, would show it.
    pub(super) fn media(&mut self, scheme: &str, medium: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({ "media": medium, "features": features }),
        );
    }

    /// What the page sent, and what the browser complained about.
    pub(super) fn troubles(&self, page: &Path) -> Vec<String> {
        let own = format!("file://{}", page.display());
        let trouble = |event: &Value| match event["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                let url = event["params"]["request"]["url"]
                    .as_str()
                    .unwrap_or_default();
                let allowed = url.starts_with(&own) || url == "data:,";
                (!allowed).then(|| format!("asked for {url}"))
            }
            Some("Log.entryAdded" | "Runtime.consoleAPICalled" | "Runtime.exceptionThrown") => {
                Some(event["params"].to_string())
            }
            _ => None,
        };
        self.events.iter().filter_map(trouble).collect()
    }

    /// Writes a picture of the whole page where somebody wants to look at it: `DOMICILE_SCREENSHOTS` names the folder.
    pub(super) fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("DOMICILE_SCREENSHOTS") else {
            return;
        };
        let shot = self.call(
            "Page.captureScreenshot",
            &json!({ "captureBeyondViewport": false }),
        );
        save(Path::new(&folder), name, &shot["data"]);
    }

    /// The page on paper, as the bytes of a PDF.
    pub(super) fn print(&mut self, name: &str) -> Vec<u8> {
        let paper = json!({ "paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": true, "printBackground": true });
        let pdf = self.call("Page.printToPDF", &paper);
        if let Some(folder) = std::env::var_os("DOMICILE_SCREENSHOTS") {
            save(Path::new(&folder), name, &pdf["data"]);
        }
        decode(&pdf["data"])
    }
}

fn decode(data: &Value) -> Vec<u8> {
    use base64::Engine;
    let data = data.as_str().expect("it is text");
    let bytes = base64::engine::general_purpose::STANDARD.decode(data);
    bytes.expect("it is base64")
}

fn save(folder: &Path, name: &str, data: &Value) {
    std::fs::write(folder.join(name), decode(data)).expect("the folder can be written");
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.last += 1;
        let order = json!({ "id": self.last, "method": "Browser.close" });
        let mut bytes = order.to_string().into_bytes();
        bytes.push(0);
        let asked = self.input.write_all(&bytes).is_ok();
        let start = Instant::now();
        while asked && start.elapsed() < Duration::from_secs(10) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
