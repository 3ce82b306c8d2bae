//! `k6/html`, and what responses do with their page.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod running;
mod server;
mod serving;

use running::run_with;

/// Runs the body as the iteration of one VU, with the page of the test as `page`.
#[track_caller]
fn holds(body: &str) {
    let script = format!(
        "import http from 'k6/http';
         import {{ parseHTML }} from 'k6/html';
         import {{ check }} from 'k6';
         export const options = {{ thresholds: {{ checks: ['rate==1'],
             iterations: ['count==1'] }} }};
         const url = __ENV.URL;
         const page = open('./page.html');
         const is = (name, a, b) => check(a, {{ [name + ' ' + JSON.stringify(a)]: () =>
             JSON.stringify(a) === JSON.stringify(b) }});
         export default function () {{ {body} }}"
    );
    let page = include_str!("page.html");
    let run = run_with(&script, &[], &[("page.html", page)]).ends_with(0);
    assert!(!run.stderr.contains("ERRO"), "{}", run.stderr);
    assert!(run.value("checks", "passes") > 0.0, "{}", run.stdout);
}

#[test]
fn selects_and_reads() {
    holds(
        "const doc = parseHTML(page);
         is('title', doc.find('head title').text(), 'A page');
         is('attr', [doc.find('#main').attr('class'), doc.find('#main').attr('no'),
             doc.find('#none').attr('no', 'else')], ['wide box', undefined, 'else']);
         is('texts', doc.find('li').map((i, li) => i + li.text()), ['0one', '1two', '2three']);
         const seen = [];
         doc.find('li').each((i, li) => seen.push(li.nodeName() + li.id() + li.textContent()));
         is('each', seen, ['lia' + 'one', 'libtwo', 'lic' + 'three']);
         const li = doc.find('li');
         is('ends', [li.first().text(), li.last().text(), li.eq(1).text(), li.eq(-2).text()],
             ['one', 'two', 'two', 'two'].map((x, i) => i === 1 ? 'three' : x));
         is('size', [li.size(), li.slice(1).size(), li.slice(1, 2).text(), li.toArray().length],
             [3, 2, 'two', 3]);
         is('family', [li.parent().get(0).nodeName(), doc.find('ul').children().size(),
             doc.find('ul').children('.odd').size(), doc.find('ul').contents().size() > 3],
             ['ul', 3, 2, true]);
         is('siblings', [doc.find('#a').next().text(), doc.find('#c').prev().text(),
             doc.find('#a').nextAll().size(), doc.find('#c').prevAll('.odd').text(),
             doc.find('#a').nextUntil('#c').text()], ['two', 'two', 2, 'one', 'two']);
         is('up', [doc.find('#b').closest('div').attr('id'), doc.find('#b').parents().size(),
             doc.find('#b').parentsUntil('body').size()], ['main', 4, 2]);
         is('is', [li.is('.odd'), li.is('p'), li.filter('.odd').size(), li.not('.odd').text(),
             li.filter((i, e) => e.text() === 'two').size(), doc.find('div').has('li').size()],
             [true, false, 2, 'two', 1, 1]);
         is('data', [doc.find('#main').data('count'), doc.find('#main').data('longName'),
             doc.find('#main').data('obj')], [3, 'x', { a: 1 }]);
         is('html', doc.find('#b').html(), '<b>two</b>');
         is('index', doc.find('#b').index(), 1);
         let wrong = '';
         try { doc.find('li:strange') } catch (e) { wrong = e.message }
         check(wrong, { wrong: (w) => w.includes(':strange') });",
    );
}

#[test]
fn reads_forms() {
    holds(
        "const form = parseHTML(page).find('form[method]');
         is('array', form.serializeArray(), [{ name: 'user', value: 'me & you' },
             { name: 'on', value: '1' }, { name: 'pick', value: 'b' },
             { name: 'words', value: 'some text' }]);
         is('serialize', form.serialize(), 'on=1&pick=b&user=me+%26+you&words=some+text');
         const many = parseHTML('<form><select name=m multiple><option selected>1' +
             '<option selected value=2>b</select><input name=e></form>').find('form');
         is('many', many.serialize(), 'e=&m=1&m=2');
         is('object', form.serializeObject().pick, 'b');
         is('val', [form.find('select').val(), form.find('textarea').val(),
             form.find('[name=user]').val()], ['b', 'some text', 'me & you']);
         const el = form.get(0);
         is('form', [el.nodeName(), el.method(), el.elements().length], ['form', 'post', 9]);
         const link = parseHTML(page).find('a').get(0);
         is('link', [link.getAttribute('href'), link.pathname(), link.search()],
             ['/echo?from=link', '/echo', '?from=link']);",
    );
}

#[test]
fn responses_are_pages() {
    holds(
        "const served = http.post(url + '/echo', page);
         is('html', served.html('h1').text(), 'Hello');
         is('whole', served.html().find('li').size(), 3);
         const clicked = served.clickLink();
         is('clicked', clicked.headers['X-Uri'], '/echo?from=link');
         const sent = served.submitForm({ fields: { user: 'other' } });
         is('sent', [sent.headers['X-Method'], sent.headers['X-Uri'],
             sent.headers['X-Type']], ['POST', '/echo?to=form',
             'application/x-www-form-urlencoded']);
         is('fields', sent.body.split('&').sort().join(), 'go=Send,on=1,pick=b,user=other,' +
             'words=some+text');
         const asked = served.submitForm({ formSelector: '#ask' });
         is('asked', [asked.headers['X-Method'], asked.headers['X-Uri']], ['GET', '/echo?q=x']);
         let none = '';
         try { served.clickLink({ selector: 'a.none' }) } catch (e) { none = e.message }
         check(none, { none: (text) => text.includes('a.none') });",
    );
}
