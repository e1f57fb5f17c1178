"""Tests of the client models, text to text. Run by self_test.py; alone: `python3 -m unittest clients_test`."""

import unittest

import clients

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


class Gmail(unittest.TestCase):
    def test_data_sources_go_and_the_rest_stays(self):
        self.assertEqual(clients.gmail(f'<p><img src="{PIXEL}" width=1 ALT=""></p>'), '<p><img  width=1 ALT=""></p>')
        self.assertEqual(clients.gmail('<img src="http://a.example/x">'), '<img src="http://a.example/x">')
        self.assertEqual(clients.gmail(f"<td style='background:url({PIXEL})'>"), "<td style='background:none'>")
        self.assertEqual(clients.gmail(f'<style>p{{background:url("{PIXEL}")}}</style>'), "<style>p{background:none}</style>")

    def test_comments_stay_closed_and_scripts_go(self):
        closed = '<!--[if mso]><img src="data:x"><![endif]-->'
        self.assertEqual(clients.gmail(closed), closed)
        self.assertEqual(clients.gmail("a<script>1</script>b"), "ab")


class Word(unittest.TestCase):
    def test_conditions(self):
        true = ["mso", "gte mso 9", "mso 16", "!(lt mso 9)", "(mso)|(IE)", "(gte mso 9)&(lte mso 16)", "vml", "gt mso 15"]
        false = ["!mso", "IE", "lt mso 12", "mso 12", "(mso)&(IE)", "", "!vml", "gibberish"]
        for condition in true:
            self.assertTrue(clients.holds(condition), condition)
        for condition in false:
            self.assertFalse(clients.holds(condition), condition)

    def test_conditional_comments(self):
        for html, seen in [
            ("a<!--[if mso]>b<![endif]-->c", "abc"),
            ("a<!--[if !mso]>b<![endif]-->c", "ac"),
            ("a<!--[if !mso]><!-->b<!--<![endif]-->c", "ac"),
            ("a<!--[if gte mso 9]><!-->b<!--<![endif]-->c", "abc"),
            ("a<!--[if !mso]> -->b<!-- <![endif]-->c", "ac"),
            ("a<![if !mso]>b<![endif]>c", "ac"),
            ("a<![if mso]>b<![endif]>c", "abc"),
            ("a<!-- b -->c", "a<!-- b -->c"),
        ]:
            self.assertEqual(clients.open_conditionals(html), seen, html)

    def test_vml_becomes_boxes_with_pictures(self):
        boxed = "<div style=\"width:9px;background-image:url('http://a.example/x')\">"
        self.assertEqual(clients.word('<v:image src="http://a.example/x" style="width:9px"/>'), boxed + "</div>")
        self.assertEqual(clients.word('<v:image style="width:9px"/>'), '<div style="width:9px"></div>')
        filled = '<v:rect style="width:9px"><v:fill type="tile" src="http://a.example/x" /></v:rect>'
        self.assertTrue(clients.word(filled).startswith(boxed), clients.word(filled))
        self.assertTrue(clients.word(filled.replace("v:fill", "v:imagedata")).startswith(boxed))
        other = '<v:rect style="width:9px"></v:rect>' + filled
        self.assertTrue(clients.word(other).startswith('<div style="width:9px"></div>' + boxed))
        self.assertEqual(clients.word("<v:fill color=red>"), "<v:fill color=red>")

    def test_dead_sources_are_broken_icons_where_there_is_room(self):
        self.assertIn(clients.BROKEN_ICON, clients.word('<img src="data:x" width="600" height="80">'))
        self.assertIn(clients.BROKEN_ICON, clients.word('<img src="data:x">'))
        self.assertIn(clients.BROKEN_ICON, clients.word("<img alt=a>"))
        self.assertIn(clients.TRANSPARENT, clients.word('<img src="data:x" width="1" height="1">'))
        self.assertEqual(clients.word("<img src=http://a.example/>"), "<img src=http://a.example/>")

    def test_the_old_ones_load(self):
        self.assertIn('src="http://a.example/l"', clients.word('<img src="http://b.example/" lowsrc="http://a.example/l">'))
        self.assertIn('<audio hidden src="http://a.example/s">', clients.word("<bgsound src=http://a.example/s>"))


class Amp(unittest.TestCase):
    def test_components_load(self):
        self.assertEqual(clients.amp('<amp-img src="x" width="1"></amp-img>'), '<img src="x" width="1"></amp-img>')
        self.assertIn('hidden src="http://a.example/p"', clients.amp('<amp-pixel src="http://a.example/p"></amp-pixel>'))
        self.assertEqual(clients.amp('<script async src="https://cdn.ampproject.org/v0.js"></script>a'), "a")


class Every(unittest.TestCase):
    def test_what_is_not_theirs_is_kept(self):
        html = "<p title='a > b'>x</p><textarea><!-- y</textarea><br/><img src=http://a.example/i.png alt=it's>"
        for model in ("gmail", "word", "amp"):
            self.assertEqual(clients.show(model, html), html, model)
        self.assertEqual(clients.show("browser", html), html)


if __name__ == "__main__":
    unittest.main()
