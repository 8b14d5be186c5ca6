//! Questions to a page that every page must answer alike, asked within the browser.

/// Every text against what is behind it, by the contrast ratio of WCAG 2: those below 4.5.
pub(super) const CONTRAST: &str = r"(() => {
  const channel = (value) => { const part = value / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; };
  const luminance = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color[3] !== 0) return color;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((child) => child.nodeType === 3 && child.data.trim() !== '');
    if (!own || !element.checkVisibility({ contentVisibilityAuto: false }) || element.closest('script, style, title')) continue;
    const style = getComputedStyle(element);
    const paint = element.closest('svg') ? style.fill : style.color;
    const pair = [luminance(parse(paint)), luminance(behind(element.closest('svg') ?? element))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) poor.add(`${element.tagName}.${element.getAttribute('class')} ${paint} ${ratio.toFixed(2)}`);
  }
  return [...poor];
})()";

/// What a reader without eyes would stumble over.
pub(super) const STRUCTURE: &str = r"(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const problems = [];
  const ids = all('[id]').map((element) => element.id);
  if (new Set(ids).size !== ids.length) problems.push('an id is used twice');
  for (const link of all('a[href]')) {
    const href = link.getAttribute('href');
    if (!href.startsWith('#') || !document.getElementById(href.slice(1))) problems.push(`a link to nowhere: ${href}`);
  }
  for (const landmark of ['body > header', 'nav[aria-label]', 'main', '[role=search]', 'footer'])
    if (all(landmark).length !== 1) problems.push(`${all(landmark).length} of ${landmark}`);
  let level = 0;
  for (const heading of all('h1, h2, h3, h4')) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) problems.push(`${heading.tagName} below H${level}: ${heading.textContent}`);
    level = next;
  }
  for (const control of all('input, select')) if (control.labels.length !== 1) problems.push(`no label: #${control.id}`);
  for (const button of all('button')) if (button.textContent.trim() === '') problems.push('a button without a word');
  for (const picture of all('svg')) {
    const named = picture.getAttribute('role') === 'img' && picture.getAttribute('aria-label');
    if (!named && picture.getAttribute('aria-hidden') !== 'true') problems.push('a drawing without words');
  }
  for (const section of all('main > section')) if (!document.getElementById(section.getAttribute('aria-labelledby'))) problems.push('a section without a name');
  if (!document.documentElement.lang || !document.title) problems.push('no language or title');
  return problems;
})()";

/// How far the page is wider than its window.
pub(super) const OVERFLOW: &str =
    "document.documentElement.scrollWidth - document.documentElement.clientWidth";

/// The names of the VMs whose lines are to be seen.
pub(super) const SHOWN: &str = "[...document.querySelectorAll('.move')].filter((it) => it.checkVisibility({ contentVisibilityAuto: false })).map((it) => it.dataset.vm).sort().join(' ')";

/// Whether a link was followed, to something that a person sees. A click is answered before the page has gone anywhere.
pub(super) const TARGET_SHOWN: &str =
    "location.hash !== '' && document.querySelector(location.hash).checkVisibility()";
