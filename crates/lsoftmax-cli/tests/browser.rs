//! The page of a comparison in a real browser: Chromium, controlled through a pipe with its own
//! protocol.
//!
//! Skipped if there is no Chromium. `CHROMIUM` gives its path if it is not on `PATH`.
#![cfg(unix)]

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_mins(1);

struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    last_id: u64,
    /// Events that arrived between answers.
    events: Vec<Value>,
}

fn chromium() -> Option<String> {
    let names = ["chromium", "chromium-browser", "google-chrome"].map(str::to_owned);
    let asked = std::env::var("CHROMIUM").ok();
    asked.into_iter().chain(names).find(|name| {
        let version = Command::new(name).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    })
}

impl Browser {
    fn start(program: &str, profile: &Path) -> Self {
        // Chromium reads from descriptor 3 and writes to 4.
        let script = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;
        let mut child = Command::new("sh")
            .args(["-c", script, program])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                if let Ok(message) = serde_json::from_slice(&message) {
                    sender.send(message).ok();
                }
            }
        });
        let mut browser = Self {
            child,
            input,
            messages,
            session: None,
            last_id: 0,
            events: Vec::new(),
        };
        let target = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let target = &target["targetId"];
        let attach = json!({ "targetId": target, "flatten": true });
        let session = browser.ask("Target.attachToTarget", &attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.input
            .write_all(message.to_string().as_bytes())
            .unwrap();
        self.input.write_all(&[0]).unwrap();
        self.input.flush().unwrap();
        loop {
            let message = self.messages.recv_timeout(PATIENCE).expect("an answer");
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn open(&mut self, page: &Path) {
        self.events.clear();
        let address = format!("file://{}", page.display());
        self.ask("Page.navigate", &json!({ "url": address }));
        let loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(loaded) {
            let event = self
                .messages
                .recv_timeout(PATIENCE)
                .expect("the page loads");
            self.events.push(event);
        }
    }

    /// Evaluates an expression in the page.
    fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let found = self.ask("Runtime.evaluate", &asked);
        assert!(
            found.get("exceptionDetails").is_none(),
            "{expression}: {found}"
        );
        found["result"]["value"].clone()
    }

    fn view(&mut self, width: u32, theme: &str) {
        let metrics = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.ask("Emulation.setDeviceMetricsOverride", &metrics);
        let media = json!({
            "features": [{ "name": "prefers-color-scheme", "value": theme }],
        });
        self.ask("Emulation.setEmulatedMedia", &media);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// All visible text that is too small or has too little contrast with its background.
const UNREADABLE: &str = r#"(function () {
  function numbers(color) {
    var found = color.match(/[\d.]+/g);
    return found ? found.map(Number) : [0, 0, 0, 0];
  }
  function light(c) {
    return [0.2126, 0.7152, 0.0722].reduce(function (sum, weight, i) {
      var part = c[i] / 255;
      return sum + weight * (part <= 0.04045 ? part / 12.92 : Math.pow((part + 0.055) / 1.055, 2.4));
    }, 0);
  }
  function behind(element) {
    for (var e = element; e; e = e.parentElement) {
      var color = numbers(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] > 0.9) { return color; }
    }
    return [255, 255, 255];
  }
  var bad = [];
  var walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    var element = walker.currentNode.parentElement;
    var text = walker.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.closest("script,style,title,desc,details:not([open])")) {
      continue;
    }
    var style = getComputedStyle(element);
    var drawn = element instanceof SVGElement;
    var size = parseFloat(style.fontSize) * (drawn ? element.getScreenCTM().d : 1);
    var a = light(numbers(drawn ? style.fill : style.color));
    // Text in pictures lies on cells of many colours, which the test of the confusion matrix
    // covers.
    var cell = drawn && element.classList.contains("cell");
    var b = light(behind(element));
    var contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (size < 9 || (!cell && contrast < 4.5)) {
      bad.push(text.slice(0, 30) + " (" + size.toFixed(1) + " px, " + contrast.toFixed(1) + ":1)");
    }
  }
  return bad;
})()"#;

#[test]
fn the_page_of_a_comparison_works_in_a_browser() {
    let Some(program) = chromium() else {
        eprintln!("skipped: there is no Chromium on this machine");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lsoftmax"))
        .current_dir(dir.path())
        .args([
            "compare",
            "--out",
            "c",
            "--quiet",
            "--losses",
            "softmax,l-softmax:2",
            "--data",
            "alphabet:10",
            "--open-set",
            "10",
        ])
        .args([
            "--train-samples",
            "600",
            "--test-samples",
            "300",
            "--batch",
            "16",
        ])
        .args([
            "--iterations",
            "30",
            "--evaluations",
            "5",
            "--network",
            "compact",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let page = dir.path().join("c/report.html");
    let mut browser = Browser::start(&program, &dir.path().join("profile"));
    for theme in ["light", "dark"] {
        for width in [1440, 390] {
            browser.view(width, theme);
            browser.open(&page);
            check(&mut browser, &format!("{theme}, {width} pixels"));
        }
    }
    let dark = browser.value("getComputedStyle(document.body).backgroundColor");
    browser.view(390, "light");
    let light = browser.value("getComputedStyle(document.body).backgroundColor");
    assert_ne!(dark, light, "the theme follows the system");
}

fn check(browser: &mut Browser, view: &str) {
    // Loaded from disk, without any other resources and without script errors.
    let asked: Vec<String> = browser
        .events
        .iter()
        .filter(|event| event["method"] == "Network.requestWillBeSent")
        .map(|event| event["params"]["request"]["url"].to_string())
        .filter(|url| !url.starts_with("\"data:"))
        .collect();
    assert!(
        asked.len() == 1 && asked[0].ends_with("report.html\""),
        "{view}: {asked:?}"
    );
    let wrong: Vec<&Value> = browser
        .events
        .iter()
        .filter(|event| {
            event["method"] == "Runtime.exceptionThrown"
                || (event["method"] == "Log.entryAdded"
                    && event["params"]["entry"]["level"] == "error")
        })
        .collect();
    assert!(wrong.is_empty(), "{view}: {wrong:?}");

    let wide = browser.value("document.documentElement.scrollWidth > innerWidth + 1");
    assert_eq!(wide, false, "{view}: the page is wider than the window");
    let bad = browser.value(UNREADABLE);
    assert_eq!(bad, json!([]), "{view}: hard to read");

    // The pictures have their points: 300 test images each.
    let points = "[...document.querySelectorAll('#features svg[role=img]')].map(svg => \
        [...svg.querySelectorAll('.step.now .dots')].reduce((sum, path) => \
        sum + path.getAttribute('d').split('M').length - 1, 0))";
    assert_eq!(browser.value(points), json!([300, 300]), "{view}");
    let drawn = "[...document.querySelectorAll('#features .step.now .dots')].every(path => \
        path.getBoundingClientRect().width > 0)";
    assert_eq!(browser.value(drawn), true, "{view}");

    // Unseen classes: ROC and DET, the cosines of both losses, images of mistakes and neighbours.
    let pictures = browser.value("document.querySelectorAll('#open-set svg[role=img]').length");
    assert_eq!(pictures, 4, "{view}");
    let images = "[...document.querySelectorAll('#open-set .strip img, #open-set img')].filter(image => \
        image.complete && image.naturalWidth > 0 && image.alt !== null).length";
    let shown = browser.value(images).as_u64().unwrap();
    assert!(shown >= 40, "{view}: {shown} images");
    let curves = "[...document.querySelectorAll('#open-set svg[role=img] path')].filter(path => \
        path.getBoundingClientRect().width > 50).length";
    let curves = browser.value(curves).as_u64().unwrap();
    assert!(curves >= 4, "{view}: {curves} curves");

    // The slider changes every picture and shows its position.
    let shown = "[...document.querySelectorAll('#features .step')].filter(step => \
        getComputedStyle(step).display !== 'none').map(step => step.dataset.frame).join()";
    let move_to = |value: &str| {
        format!(
            "(function () {{ var range = document.querySelector('.way input'); range.value = {value}; \
             range.dispatchEvent(new Event('input', {{ bubbles: true }})); \
             return document.querySelector('.way output').textContent; }})()"
        )
    };
    assert_eq!(browser.value(shown), "4,4", "{view}");
    assert_eq!(browser.value(&move_to("0")), "6", "{view}");
    assert_eq!(browser.value(shown), "0,0", "{view}");
    assert_eq!(browser.value(&move_to("range.max")), "30", "{view}");
    assert_eq!(browser.value(shown), "4,4", "{view}");
    let visible = browser.value("document.querySelector('.way').checkVisibility()");
    assert_eq!(visible, true, "{view}");
}
